"""A trained model handed to other runtimes, and held against itself."""
