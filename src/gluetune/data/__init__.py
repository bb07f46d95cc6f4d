"""Where examples come from and how they become what a model reads.

Sources (the Hub, a folder, GLUE's own download, the sample), their checks, and encoding with a
tokenizer that is handed in. Nothing here knows about models.
"""
