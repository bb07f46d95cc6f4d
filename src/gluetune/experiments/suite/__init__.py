"""Suites: a checkpoint trained on several tasks with several seeds."""
