"""GLUE's official metrics."""
