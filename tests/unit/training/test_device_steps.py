"""gluetune.Trainer on a device: a step waits for nothing, an evaluation once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tests.support.mixed_batches import load_tiny
from tests.support.private_device import DEVICE, NewTensors, PrivateDevice, to_device, values
from tests.unit.training.test_fast_trainer import make_data, make_trainer

from gluetune import Trainer
from gluetune.data.encoding import Encoded
from gluetune.inference.logits import compute_logits
from gluetune.models.fast.paths import computing, resolve_compute


class _Waits(transformers.TrainerCallback):  # type: ignore[misc]  # transformers is not followed
    """Notes the waits within each step; the first is checked, and may wait."""

    def __init__(self, device: PrivateDevice) -> None:
        self.device = device
        self.steps: list[list[str]] = []

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self.before = len(self.device.waits)

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.steps.append(self.device.waits[self.before :])


def _train(
    folder: Path, architecture: str, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> tuple[Any, list[list[str]], list[str]]:
    """Train on the device; return the model, the waits of each step, and the notes."""
    model = load_tiny(folder, architecture)
    device = PrivateDevice()
    noted = _Waits(device)
    trainer = make_trainer(
        Trainer,
        model,
        folder,
        callbacks=[noted],
        max_steps=6,
        logging_steps=3,
        logging_nan_inf_filter=False,
        dataloader_pin_memory=False,
        adam_epsilon=1e-2,
        **settings,
    )
    notes: list[str] = []
    trainer.report_note = notes.append
    monkeypatch.setattr(type(trainer.args), "device", property(lambda _: DEVICE))
    trainer.accelerator.state.device = DEVICE
    to_device(model)
    with device, NewTensors():
        trainer.train()
    return model, noted.steps, notes


@pytest.mark.parametrize(
    ("architecture", "settings"),
    [
        ("bert", {}),
        ("bert", {"options": {"compact_vocabulary": False}}),
        ("bert", {"options": {"micro_batch_size": 2}}),
        ("bert", {"gradient_accumulation_steps": 2}),
        ("distilbert", {}),
        ("albert", {}),
        ("modernbert", {}),
        ("qwen2", {}),
        ("deberta-v2", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value) or "plain",
)
def test_a_step_waits_for_nothing_until_it_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, architecture: str, settings: Any
) -> None:
    model, steps, notes = _train(tmp_path, architecture, monkeypatch, **settings)
    assert notes == []
    assert [len(waits) for waits in steps[1:]] == [0, 1, 0, 0, 1]
    assert "isfinite" in steps[2][0], "the losses since the last log are checked"
    monkeypatch.undo()
    plain = load_tiny(tmp_path, architecture)
    make_trainer(Trainer, plain, tmp_path, max_steps=6, adam_epsilon=1e-2, **settings).train()
    for name, weight in plain.named_parameters():
        moved = values(model.get_parameter(name))
        torch.testing.assert_close(moved, weight.detach(), rtol=1e-3, atol=1e-5, msg=name)


def test_a_wait_in_every_step_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trainer, "_watch", lambda self, loss: loss.item())
    _, steps, _ = _train(tmp_path, "bert", monkeypatch)
    assert all(steps)


@pytest.mark.parametrize("architecture", ["bert", "albert", "modernbert", "deberta-v2"])
def test_an_evaluation_waits_once(tmp_path: Path, architecture: str) -> None:
    model = load_tiny(tmp_path, architecture).eval()
    data = make_data(model, rows=30)
    lengths = np.array([len(ids) for ids in data["input_ids"]])
    split = Encoded(examples=data.remove_columns("labels"), lengths=lengths, truncated=0)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model.config._name_or_path)
    collate = transformers.DataCollatorWithPadding(tokenizer)

    def logits() -> Any:
        with computing(model, resolve_compute("auto", model)):
            return compute_logits(model, split, collate, batch_size=4, precision="fp32")

    expected = logits()
    to_device(model)
    with PrivateDevice() as device:
        found = logits()
    assert len(device.waits) == 1
    np.testing.assert_allclose(found, expected, atol=1e-5)
