"""Import what a run imports: the server of forks does it once, for all processes that it forks."""

# ruff: noqa: F401 - nothing is used here

from __future__ import annotations

import gc

import scipy.stats
import sklearn.feature_extraction.text
import sklearn.linear_model
import sklearn.metrics
import tests.support.forked_processes
import transformers.models.bert.modeling_bert

import gluetune.experiments.search.search
import gluetune.experiments.suite.suite
import gluetune.inference.file_predictions
import gluetune.serving.server
import gluetune.training.job

# The collector, which Trainer calls at every start, would read and so copy all of it.
gc.freeze()
