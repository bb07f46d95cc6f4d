"""What can be said of a model's answers without the model: intervals, errors, comparisons."""
