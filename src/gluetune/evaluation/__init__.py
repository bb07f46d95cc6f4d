"""From a model and encoded examples to predictions, and from predictions to scores."""
