"""Several processes train as one does: the same batches, no example twice, one mean."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from tests.support import two_processes
from tests.support.forked_processes import run_together
from tests.support.mixed_batches import is_key_bias
from tests.support.tiny_checkpoints import write_tiny_checkpoint

from gluetune.kinds import SINGLE_LABEL
from gluetune.kinds.base import IGNORED
from gluetune.training.flow import Shares, uses_all_weights
from gluetune.training.trainer import ClassificationLoss

ROOT = Path(__file__).parents[3]
Launch = Callable[[list[str], Path], int]
"""Trains with the words of `two_processes.main`; returns how many processes did."""


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(1, 5), st.integers(1, 4), st.booleans())
def test_shares_make_up_the_batches(rows: int, each: int, processes: int, drop_last: bool) -> None:
    size = each * processes
    order = list(range(rows))[::-1]
    shares = [
        Shares(order, size, process=process, processes=processes, drop_last=drop_last)
        for process in range(processes)
    ]
    whole = [order[start : start + size] for start in range(0, rows, size)]
    if drop_last and len(whole[-1]) < size:
        whole.pop()
    taken = [list(share) for share in shares]
    assert {len(share) for share in taken} == {len(whole)}, "every process takes every step"
    for step, batch in enumerate(whole):
        last = step == len(whole) - 1
        parts = [
            share[step]
            for share, of in zip(taken, shares, strict=True)
            if not (last and of.is_empty)
        ]
        assert sorted(row for part in parts for row in part) == sorted(batch)


def test_an_example_that_does_not_count_adds_nothing() -> None:
    loss = ClassificationLoss(SINGLE_LABEL)
    logits = torch.randn(3, 2, requires_grad=True)
    labels = torch.tensor([1, IGNORED, 0])
    for count in (2, None):
        total = loss({"logits": logits}, labels, count)
        rest = loss({"logits": logits[[0, 2]]}, labels[[0, 2]], count)
        assert torch.equal(total, rest)
    (gradient,) = torch.autograd.grad(total, logits)
    assert not gradient[1].any()
    none = loss({"logits": logits}, torch.full((3,), IGNORED))
    assert none.item() == 0.0


def _train(folder: Path, model: Path, batch: int, rows: int, launch: Launch) -> list[Any]:
    output = folder / launch.__name__
    output.mkdir()
    count = launch([str(model), str(output), str(batch), str(rows)], folder)
    return [
        {
            **json.loads((output / f"{process}.json").read_text()),
            "weights": load_file(output / f"{process}.safetensors"),
        }
        for process in range(count)
    ]


def one_process(words: list[str], folder: Path) -> int:
    two_processes.main(*words)
    return 1


def forked(words: list[str], folder: Path) -> int:
    ends = run_together(folder, two_processes.main, *words)
    assert [end.code for end in ends] == [0, 0], ends
    return 2


def torchrun(words: list[str], folder: Path) -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--master-addr", "127.0.0.1", "--master-port", str(port), "-m"]
    command += ["tests.support.two_processes", *words]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return 2


@pytest.mark.parametrize(
    ("num_labels", "rows", "launch"),
    [(3, 103, forked), (1, 49, forked), (3, 17, torchrun)],
    ids=["103 rows", "an empty share, regression", "an empty share, classes"],
)
def test_two_processes_end_where_one_does(
    tmp_path: Path, num_labels: int, rows: int, launch: Launch
) -> None:
    """After two epochs in float64, to 1% of the learning rate; 49 leaves one for the last step."""
    model = write_tiny_checkpoint(tmp_path / "model", "bert", num_labels=num_labels)
    (one,) = _train(tmp_path, model, 16, rows, one_process)
    two = _train(tmp_path, model, 8, rows, launch)
    assert one["steps"] == two[0]["steps"] == two[1]["steps"]
    seen = sorted(two[0]["seen"] + two[1]["seen"])
    stand_ins = len(seen) - len(one["seen"])
    assert stand_ins == (2 if rows % 16 == 1 else 0), "only where a process had none of its own"
    if not stand_ins:
        assert seen == sorted(one["seen"]) == sorted([*range(rows)] * 2)
    for found in two:
        assert found["labels"] == one["labels"], "evaluation has no empty share"
        assert found["evaluations"] == pytest.approx(one["evaluations"], rel=1e-6)
    assert two[0]["losses"] == pytest.approx(one["losses"], rel=1e-4)
    for name, value in one["weights"].items():
        if not is_key_bias(name):
            for found in two:
                assert float((found["weights"][name] - value).abs().max()) < 0.01 * 1e-3, name


@pytest.mark.parametrize(("architecture", "uses"), [("bert", True), ("xlnet", False)])
def test_weights_that_no_batch_uses_are_found(
    tmp_path: Path, architecture: str, uses: bool
) -> None:
    """XLNet's embedding of masks is for its pretraining alone."""
    folder = write_tiny_checkpoint(tmp_path, architecture)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).train()
    batch = {"input_ids": torch.tensor([[5, 6, 7]]), "labels": torch.tensor([0])}
    state = torch.get_rng_state()
    assert uses_all_weights(model, batch) is uses
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert all(weight.grad is None for weight in model.parameters())
    model.config.layerdrop = 0.1
    assert not uses_all_weights(model, batch)
