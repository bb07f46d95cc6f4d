"""Analysis of predictions: scores, diagnostics, comparisons."""
