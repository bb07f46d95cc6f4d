"""Tasks by seeds: the jobs, their order, the processes that run them, and the results."""
