"""Load a checkpoint for a task: the model, its tokenizer and the label map."""
