"""A trained model served over HTTP: a web page, and the API of Text Embeddings Inference."""
