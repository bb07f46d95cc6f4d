"""Training: the trainer, its checkpoints, the checks before it, and the run that holds it all."""
