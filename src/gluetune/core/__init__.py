"""Foundations: errors, files, tasks, settings, records and run folders."""
