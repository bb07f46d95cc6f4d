"""Hyperparameter search: one objective, a space, and the Optuna study."""
