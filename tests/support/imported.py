"""Import what a run imports: the server of forks does it once, for all processes that it forks."""

from __future__ import annotations

import gc
import importlib

for name in (
    "gluetune.experiments.search.search",
    "gluetune.experiments.suite.suite",
    "gluetune.inference.file_predictions",
    "gluetune.serving.server",
    "gluetune.training.job",
    "scipy.stats",
    "sklearn.feature_extraction.text",
    "sklearn.linear_model",
    "sklearn.metrics",
    "tests.support.forked_processes",
    "transformers.models.bert.modeling_bert",
):
    importlib.import_module(name)

# The collector, which Trainer calls at every start, would read and so copy all of it.
gc.freeze()
