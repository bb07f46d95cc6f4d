"""Sources of the splits of a task."""
