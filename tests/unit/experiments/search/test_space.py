"""Spaces: every mistake is reported together, and suggested parameters are valid settings."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gluetune.core.config import make_config
from gluetune.core.errors import ConfigurationError
from gluetune.core.settings_files import dump_yaml
from gluetune.experiments.search.space import (
    Choice,
    Range,
    Space,
    default_space,
    parse_space,
    read_space,
    suggest,
    with_parameters,
)

BASE = make_config({"task": "cola", "training_args": {"max_grad_norm": 0.5}})


def _ask(space: Space, seed: int = 0) -> dict[str, Any]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return dict(suggest(space, study.ask()))


def _findings(described: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        parse_space(described, place="space.yaml")
    return [str(finding) for finding in caught.value.findings]


_POSITIVE = st.floats(1e-8, 1.0)
_WHOLE = st.integers(1, 500)


@st.composite
def _ranges(draw: st.DrawFn, numbers: Any) -> dict[str, Any]:
    low, high = sorted((draw(numbers), draw(numbers)))
    log = draw(st.booleans())
    return {"low": low, "high": high, **({"log": True} if log else {})}


_DESCRIBED = st.fixed_dictionaries(
    {},
    optional={
        "learning_rate": _ranges(_POSITIVE),
        "weight_decay": _ranges(_POSITIVE) | st.lists(_POSITIVE, min_size=1, unique=True),
        "batch_size": _ranges(_WHOLE) | st.lists(_WHOLE, min_size=1, max_size=4, unique=True),
        "seed": _ranges(_WHOLE),
        "max_length": st.lists(st.integers(3, 512) | st.none(), min_size=1, unique=True),
        "precision": st.just(["auto", "fp32"]),
        "compact_vocabulary": st.just([True, False]),
        "set.max_grad_norm": _ranges(_POSITIVE),
        "set.lr_scheduler_type": st.just(["linear", "cosine"]),
    },
).filter(bool)


@given(_DESCRIBED, st.integers(0, 2**31))
def test_suggested_parameters_are_in_the_space_and_valid(
    described: dict[str, Any], seed: int
) -> None:
    space = parse_space(described)
    found = _ask(space, seed)
    assert found.keys() == described.keys()
    for name, value in found.items():
        varied = space[name]
        if isinstance(varied, Choice):
            assert value in varied.values
        else:
            assert isinstance(value, int) == varied.whole
            assert varied.low <= value <= varied.high
    config = with_parameters(BASE, found)
    for name, value in found.items():
        field = name.removeprefix("set.")
        assert (config.training_args[field] if name != field else getattr(config, name)) == value
    assert config.training_args["max_grad_norm"] == found.get("set.max_grad_norm", 0.5)


@given(_DESCRIBED)
def test_a_space_is_read_back_from_its_description(described: dict[str, Any]) -> None:
    space = parse_space(described)
    again = {name: varied.described() for name, varied in space.items()}
    assert parse_space(again) == space


@given(_DESCRIBED)
def test_a_file_and_python_give_the_same_space(
    tmp_path_factory: pytest.TempPathFactory, described: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("space") / "space.yaml"
    path.write_text(dump_yaml(described), encoding="utf-8")
    assert read_space(path) == parse_space(described)


def test_steps_end_at_the_upper_bound() -> None:
    space = parse_space({"epochs": {"low": 1, "high": 5, "step": 2}})
    assert space == {"epochs": Range(1, 5, step=2)}
    assert {_ask(space, seed)["epochs"] for seed in range(40)} == {1.0, 3.0, 5.0}


def test_trainers_names_are_accepted() -> None:
    space = parse_space({"num_train_epochs": [1, 2], "per_device_train_batch_size": [8]})
    assert list(space) == ["epochs", "batch_size"]
    config = with_parameters(BASE, {"num_train_epochs": 2, "per_device_train_batch_size": 8})
    assert (config.epochs, config.batch_size) == (2.0, 8)


def test_all_mistakes_are_reported_together() -> None:
    findings = _findings(
        {
            "learning_rat": {"low": 1, "high": 2},
            "output": ["a"],
            "batch_size": [8, 8],
            "epochs": {"low": 5, "high": 1, "stp": 1},
            "weight_decay": 3,
            "seed": {"low": 1.5, "high": 3},
            "set.lr_schedular_type": ["linear"],
            "set.max_grad_norm": ["big"],
        }
    )
    expected = (
        "there is no parameter 'learning_rat'.\n  Did you mean 'learning_rate'?",
        "'output' cannot differ between trials",
        "batch_size offers a choice twice",
        "a range has no 'stp'",
        "low = 5 is above high = 1",
        "weight_decay = 3 is neither a range nor a list",
        "seed: low = 1.5 is not a whole number",
        "space.yaml: set.lr_schedular_type: TrainingArguments has no such field",
        "set.max_grad_norm=big",
    )
    assert len(findings) == len(expected)
    for finding, part in zip(findings, expected, strict=True):
        assert part in finding
        assert "space.yaml" in finding


@pytest.mark.parametrize(
    ("described", "said"),
    [
        ({}, "has no parameter to search"),
        ({"epochs": []}, "offers no choice"),
        ({"epochs": [[1]]}, "is neither text nor a finite number"),
        ({"epochs": [float("nan")]}, "is neither text nor a finite number"),
        ({"epochs": {"low": 1}}, "has no 'high'"),
        ({"epochs": {"low": "1", "high": 2}}, "low = '1' is not a finite number"),
        ({"epochs": {"low": 1, "high": float("inf")}}, "high = inf is not a finite number"),
        ({"epochs": {"low": 1, "high": 2, "log": 1}}, "neither true nor false"),
        ({"epochs": {"low": 1, "high": 2, "step": 0}}, "step = 0 must be above 0"),
        ({"epochs": {"low": 1, "high": 2, "step": 1, "log": True}}, "cannot be combined"),
        ({"weight_decay": {"low": 0, "high": 1, "log": True}}, "must be above 0"),
        ({"learning_rate": {"low": -1, "high": 1}}, "space.yaml: learning_rate: -1"),
        ({"batch_size": [0]}, "space.yaml: batch_size: 0"),
        ({"precision": {"low": 1, "high": 2}}, "is not a number, so it has no range"),
        ({"precision": ["fp31"]}, "fp31"),
        ({"set.seed": [1]}, "set.seed: this has its own flag"),
        ({"set.": [1]}, "there is no parameter 'set.'"),
    ],
)
def test_a_mistake_is_named(described: dict[str, Any], said: str) -> None:
    (finding,) = _findings(described)
    assert said in finding


@pytest.mark.parametrize("text", ["- 1", "learning_rate: {low: 1", "just words"])
def test_a_file_without_a_space_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"space\.yaml"):
        read_space(path)
    with pytest.raises(ConfigurationError, match="Check --space"):
        read_space(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("parameters", "most"), [(22_000_000, 3e-4), (110_000_000, 1e-4), (335_000_000, 5e-5)]
)
def test_the_default_space_fits_the_size(parameters: int, most: float) -> None:
    space = default_space(parameters)
    assert parse_space({name: varied.described() for name, varied in space.items()}) == space
    rate = space["learning_rate"]
    assert isinstance(rate, Range)
    assert (rate.high, rate.log) == (most, True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Optuna warns where a range is not as it says
        with_parameters(BASE, _ask(space))
