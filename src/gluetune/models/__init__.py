"""From a checkpoint and a task to a model, a tokenizer and the label map between them."""
