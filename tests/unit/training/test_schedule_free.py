"""An optimiser that trains other weights than it evaluates: the latter are scored and kept."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
import torch
import transformers.trainer_optimizer
from safetensors.torch import load_file
from tests.support import schedule_free
from tests.support.tiny_runs import At, Bench, outcome, resumed, send_signal

from gluetune.core.runs import Run

STEPS = 3


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for the package, of which transformers takes two names."""
    package = ModuleType("schedulefree")
    package.AdamWScheduleFree = package.SGDScheduleFree = schedule_free.AdamWScheduleFree  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "schedulefree", package)
    monkeypatch.setattr(
        transformers.trainer_optimizer, "is_schedulefree_available", lambda *_: True
    )


def _train(bench: Bench, **changed: Any) -> Run:
    settings = {"optim": "schedule_free_adamw", "lr_scheduler_type": "constant"}
    return bench.train(**{"training_args": settings, "epochs": 2, **changed})


def _weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def _differ(some: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> bool:
    return any(not torch.equal(value, others[name]) for name, value in some.items())


def test_the_weights_to_evaluate_are_scored_and_kept(bench: Bench) -> None:
    trained: list[Any] = []
    evaluated: list[Any] = []
    modes: list[tuple[str, bool]] = []

    def note(event: str) -> Any:
        def noted(**given: Any) -> None:
            (mode,) = {group["train_mode"] for group in given["optimizer"].param_groups}
            modes.append((event, mode))
            kept = trained if event == "step" else evaluated
            kept.append(_weights(given["model"]))

        return noted

    run = _train(
        bench,
        epochs=1,
        callbacks=[
            At("on_step_end", None, note("step")),
            At("on_evaluate", None, note("evaluation")),
            At("on_save", None, note("save")),
        ],
    )
    assert modes == [*[("step", True)] * STEPS, ("evaluation", False), ("save", False)]
    assert _differ(evaluated[0], trained[-1]), "or the comparison would show nothing"
    saved = load_file(run.model_path / "model.safetensors")
    assert not _differ(saved, evaluated[0])
    assert run.record.best is not None
    assert run.record.best.agrees


def test_the_compact_vocabulary_is_not_for_it(bench: Bench) -> None:
    compact, whole = bench.train(epochs=1).record.compute, _train(bench, epochs=1).record.compute
    assert compact is not None
    assert compact.vocabulary_rows is not None
    assert whole is not None
    assert whole.vocabulary_rows is None


@pytest.mark.parametrize("step", [1, STEPS, STEPS + 1])
def test_a_resumed_run_is_the_same(bench: Bench, step: int) -> None:
    """From an epoch's checkpoint, which holds the weights to evaluate, and from one in between."""
    whole = outcome(_train(bench))
    output = bench.new_output()
    with pytest.raises(KeyboardInterrupt):
        _train(bench, output=output, callbacks=[At("on_step_begin", step - 1, send_signal())])
    assert Run(output).record.steps == step
    assert outcome(resumed(output)) == whole


def test_a_share_of_warmup_is_made_steps_for_it(bench: Bench) -> None:
    seen: set[float] = set()

    def note(**given: Any) -> None:
        seen.update(group["warmup_steps"] for group in given["optimizer"].param_groups)

    _train(bench, warmup=0.5, callbacks=[At("on_step_end", 1, note)])
    assert seen == {STEPS}, "half of two epochs"
