"""Tasks by seeds: which jobs, in which order; who runs them; what came of it."""
