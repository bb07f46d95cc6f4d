"""What every room stands on: errors, files, tasks, settings, records and run folders."""
