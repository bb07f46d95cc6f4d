"""The command that resumes a suite is parsed into the same suite."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from tests.unit.test_docs import parse, settings_of

from gluetune.core.settings import make_settings
from gluetune.core.suites import SuiteRequest
from gluetune.experiments.settings import SuiteSettings
from gluetune.experiments.suite.plan import default_name
from gluetune.experiments.suite.suite import _command


def request(**changed: Any) -> SuiteRequest:
    values: dict[str, Any] = {
        "model": "my models/tiny",
        "data": "sample",
        "tasks": ("cola", "mrpc"),
        "seeds": (42, 43),
        "fraction": 0.5,
        "recipe": None,
        "mnli_init": False,
        "settings": {},
    }
    return SuiteRequest(**(values | changed))


def name(asked: SuiteRequest) -> str:
    return default_name(asked, "tiny")


def read_back(asked: SuiteRequest) -> SuiteRequest:
    """Return the request that the parser reads from the printed command."""
    words = shlex.split(_command(asked, Path("my suites/s")))
    assert words[:2] == ["gluetune", "suite"]
    read = parse(words[1:])
    assert read["output"] == Path("my suites/s")
    own = ("model", "seed", "output", "fraction", "data", *SuiteSettings.model_fields)
    typed = {name: value for name, value in settings_of(read).items() if name not in own}
    seeds = make_settings(SuiteSettings, {"seeds": read["seeds"]}).seeds
    assert isinstance(seeds, tuple)
    return request(
        model=read["model"],
        data=read["data"],
        tasks=tuple(read["tasks"].split(",")),
        seeds=seeds,
        fraction=float(read["fraction"]),
        recipe=read["recipe"],
        mnli_init=bool(read["mnli_init"]),
        settings={name: _number(value) for name, value in typed.items()},
    )


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, str) and value[0].isdigit() else value


@pytest.mark.parametrize(
    "settings",
    [
        {"new_head": False, "max_length": None},
        {"new_head": True, "compact_vocabulary": False},
        {"compact_vocabulary": True, "max_length": 64, "revision": None},
        {"learning_rate": 1e-05, "trust_remote_code": False},
        {
            "label_order": ["no", "yes"],
            "training_args": {"run_name": "a b: 'c'", "max_grad_norm": 0.5},
        },
    ],
    ids=lambda settings: ",".join(settings),
)
def test_the_printed_command_gives_the_same_suite(settings: dict[str, Any]) -> None:
    asked = request(settings=settings)
    assert read_back(asked).requested() == asked.requested()


@pytest.mark.parametrize("fraction", [1.0, 0.1, 0.1234567, 1e-05])
@pytest.mark.parametrize("seeds", [(42,), (3, 1, 2)])
def test_fractions_and_seeds_are_printed_exactly(fraction: float, seeds: tuple[int, ...]) -> None:
    asked = request(fraction=fraction, seeds=seeds, recipe="stable", mnli_init=True)
    read = read_back(asked)
    assert read.seeds == seeds
    assert read.requested() == asked.requested()


def test_default_values_give_the_same_suite() -> None:
    """Python can set what no flag can; the command that resumes must find the same suite."""
    plain = request()
    assert name(request(settings={"max_length": None, "new_head": False})) == name(plain)
    assert name(request(settings={"max_length": 64})) != name(plain)
    assert name(request(settings={"compact_vocabulary": False})) != name(plain)


def test_none_overrides_a_setting_of_a_recipe() -> None:
    plain = request(recipe="run_glue")
    assert name(request(recipe="run_glue", settings={"max_length": None})) != name(plain)
    assert name(request(recipe="run_glue", settings={"new_head": False})) == name(plain)
