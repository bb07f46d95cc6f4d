"""A small data set of gluetune's own: the nine GLUE tasks and AX, in GLUE's schema.

Every sentence is built here from grammars and word lists; none is GLUE's. It exists so that
everything runs with no network and no download: each task is meant to be learnable by a small
pre-trained encoder within a few epochs, and not by counting words. Scores on it say that training
works; they say nothing about GLUE.

    python -m tools.sample        # writes the files that the package ships
"""

from tools.sample.tables import DEFAULT_ROWS, generate

__all__ = ["DEFAULT_ROWS", "generate"]
