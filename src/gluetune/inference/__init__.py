"""From a checkpoint and text to logits and predictions."""
