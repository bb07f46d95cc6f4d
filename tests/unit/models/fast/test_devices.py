"""A training step and an evaluation on a device mix nothing with the CPU and do not wait for it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support.mixed_batches import load_tiny, make_batch
from tests.support.private_device import DEVICE, OnDevice, PrivateDevice, to_device, values
from torch.nn.utils import clip_grad_norm_

from gluetune.models.fast import layout
from gluetune.models.fast.batches import split_by_length
from gluetune.models.fast.layout import Layout, send
from gluetune.models.fast.paths import computing

PATHS = [
    ("bert", "unpadded"),
    ("roberta", "unpadded"),
    ("electra", "unpadded"),
    ("distilbert", "unpadded"),
    ("albert", "unpadded"),
    ("modernbert", "unpadded"),
    ("deberta-v2", "grouped"),
]
LENGTHS = [1, 3, 40, 39, 20, 9, 9, 2]


@pytest.fixture
def twins(tmp_path: Path) -> Callable[[str], tuple[Any, Any]]:
    """Two models with the same weights, the second on the device."""

    def make(architecture: str) -> tuple[Any, Any]:
        model = load_tiny(tmp_path, architecture).train()
        moved = copy.deepcopy(model)
        to_device(moved)
        return model, moved

    return make


def _step(model: Any, batch: dict[str, torch.Tensor], path: Any, device: torch.device) -> Any:
    """Take one step of AdamW, in whose update the noise of a gradient of 0 is nothing."""
    parts = list(split_by_length(batch, 8)) if path == "grouped" else [batch]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, eps=1e-2, foreach=True)
    losses = []
    with computing(model, path):
        for part in parts:
            inputs = send(part, device)
            labels = inputs.pop("labels")
            logits = model(**inputs)["logits"]
            loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
            (loss / len(batch["labels"])).backward()
            losses.append(loss.detach())
    clip_grad_norm_(model.parameters(), 1.0, foreach=True)
    optimizer.step()
    optimizer.zero_grad()
    return torch.stack(losses).sum()


@pytest.mark.parametrize(("architecture", "path"), PATHS)
def test_a_step_on_a_device_is_the_cpus_and_waits_for_nothing(
    twins: Any, architecture: str, path: str
) -> None:
    model, moved = twins(architecture)
    batch = make_batch(model, LENGTHS)
    expected = _step(model, batch, path, torch.device("cpu"))
    with PrivateDevice() as device:
        found = _step(moved, batch, path, DEVICE)
    assert isinstance(found, OnDevice)
    assert device.waits == []
    torch.testing.assert_close(values(found), expected, rtol=1e-5, atol=1e-5)
    for (name, weight), after in zip(moved.named_parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(values(weight), after, rtol=1e-3, atol=1e-5, msg=name)


def test_a_mask_on_the_device_is_read_once(twins: Any) -> None:
    model, moved = twins("bert")
    batch = make_batch(model, LENGTHS)
    del batch["labels"]
    with PrivateDevice() as device, torch.no_grad(), computing(moved, "unpadded"):
        inputs = {name: value.to(DEVICE) for name, value in batch.items()}
        moved(**inputs)
    assert len(device.waits) == 1
    assert "layout.py" in device.waits[0]


def test_the_device_refuses_what_an_accelerator_refuses(twins: Any) -> None:
    with PrivateDevice() as device:
        ours = torch.ones(3, device=DEVICE)
        with pytest.raises(RuntimeError, match="same device: add"):
            ours + torch.ones(3)
        assert device.waits == []
        assert float(ours.sum()) == 3
        assert ours.cpu().tolist() == [1, 1, 1]
        assert ours[ours > 0].shape == (3,)
        ours.nonzero()
    assert [wait.split()[0] for wait in device.waits] == [
        "_local_scalar_dense",
        "_to_copy",
        "index",
        "nonzero",
    ]


class _Forgetful(dict[Any, Any]):
    def __contains__(self, key: object) -> bool:
        return False


def test_a_wait_in_a_step_is_seen(twins: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, moved = twins("bert")
    monkeypatch.setattr(layout, "_sent", _Forgetful())
    with PrivateDevice() as device:
        _step(moved, make_batch(model, LENGTHS), "unpadded", DEVICE)
    assert device.waits


def test_a_part_that_stays_on_the_cpu_is_seen(twins: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, moved = twins("bert")
    honest = Layout.of
    monkeypatch.setattr(Layout, "of", lambda mask, device=None: honest(mask))
    with PrivateDevice(), pytest.raises(RuntimeError, match="same device"):
        _step(moved, make_batch(model, LENGTHS), "unpadded", DEVICE)


def test_other_tests_of_the_process_find_no_accelerator() -> None:
    assert torch.accelerator.is_available() == torch.cuda.is_available()
    current = torch.accelerator.current_accelerator(check_available=True)
    assert current is None or current.type != DEVICE.type
