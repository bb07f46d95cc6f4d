"""Processes that work together: collectives, process pools, Ray, signals."""
