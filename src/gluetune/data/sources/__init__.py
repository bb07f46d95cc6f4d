"""Where the splits of a task come from."""
