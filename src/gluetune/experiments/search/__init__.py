"""Hyperparameter search: one objective, a space, and the study that asks and tells."""
