"""Export a trained model to other runtimes, and compare it with PyTorch."""
