"""Experiments of many runs: searches, suites and learning curves."""
