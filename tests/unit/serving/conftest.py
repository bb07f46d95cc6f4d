"""Trained models for the tests of serving, a second each."""

from __future__ import annotations

import pytest
from tests.support.kinds import KINDS
from tests.support.tiny_checkpoints import write_tiny_checkpoint
from tests.support.tiny_runs import Bench

import gluetune
from gluetune.core.runs import Run
from gluetune.inference.predictor import Predictor, load

EMOTIONS = {0: "anger", 1: "fear", 2: "joy"}


@pytest.fixture(scope="session")
def emotions(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """A checkpoint with classes of its own that reads one text or two, 32 tokens at most."""
    folder = tmp_path_factory.mktemp("emotions")
    write_tiny_checkpoint(folder, "bert", id2label=EMOTIONS, max_length=32)
    return load(folder, threads=1, precision="fp32")


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="session")
def pairs(bench: Bench) -> Run:
    """A run that reads pairs."""
    return bench.train("mrpc", epochs=1)


@pytest.fixture(scope="session")
def several(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that gives any of several labels, or none, each above a threshold of its own."""
    folder = tmp_path_factory.mktemp("several")
    (kind,) = (one for one in KINDS if one.name == "several-labels")
    return gluetune.train(
        train_file=str(kind.write(folder)),
        model=str(write_tiny_checkpoint(folder / "model", "bert")),
        epochs=2,
        learning_rate=3e-3,
        threads=1,
        precision="fp32",
        output=folder / "run",
        progress=False,
    )


@pytest.fixture(scope="session")
def numbers(bench: Bench) -> Run:
    """A run that answers with a number."""
    return bench.train("stsb", epochs=1)
