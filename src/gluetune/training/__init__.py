"""Training: the trainer, its checkpoints, the preflight checks, and the run."""
