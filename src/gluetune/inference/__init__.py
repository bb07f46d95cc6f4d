"""Inference: from a checkpoint and texts to logits and predictions."""
