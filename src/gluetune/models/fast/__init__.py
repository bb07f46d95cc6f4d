"""Faster execution paths through a model, with the same mathematics."""
