"""What predictions say: scores, diagnostics, comparisons."""
