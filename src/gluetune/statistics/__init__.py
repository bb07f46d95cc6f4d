"""Statistics of predictions, without the model: intervals, errors, tests, comparisons."""
