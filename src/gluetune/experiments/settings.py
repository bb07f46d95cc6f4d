"""Settings of searches and suites, in addition to those of their runs (`TrainConfig`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from gluetune.core.config import FOLD_SETTINGS, Name, Names, TrainConfig
from gluetune.core.errors import Finding, Findings, with_new_names
from gluetune.core.published import RECIPES
from gluetune.core.settings import (
    Accepts,
    AnySettings,
    Option,
    Settings,
    flag_for,
    make_settings,
    unknown_setting,
    validated,
)

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def _seconds(value: object) -> object:
    """Read `90`, `30m` and `1.5h` as seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", str(value).strip())
    return float(match[1]) * _UNITS[match[2]] if match else value


def _seeds(value: object) -> object:
    """Read `5` as five seeds, and `1,2,3` or `7,` as those."""
    if not isinstance(value, str):
        return value if isinstance(value, int) else tuple(value)  # type: ignore[arg-type]  # pydantic reports the TypeError
    try:
        parts = [part.strip() for part in value.split(",")]
        return tuple(int(part) for part in parts if part) if len(parts) > 1 else int(value)
    except ValueError:
        raise PydanticCustomError(
            "seeds", "this is neither a number of seeds nor a list of seeds"
        ) from None


_Amount = Annotated[float | None, Accepts(("float", "str", "None"))]
_CLUSTER = "A cluster"


class SearchSettings(Settings):
    """How a search is run."""

    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "The search": (
            "trials",
            "timeout",
            "direction",
            "sampler",
            "pruner",
            "tune_on",
            "jobs",
            "seeds",
            "final",
        ),
        _CLUSTER: ("ray", "cpus_per_trial", "gpus_per_trial"),
    }
    common: ClassVar[tuple[str, ...]] = ("trials", "timeout", "jobs", "seeds")

    trials: int = Field(20, ge=1, description="Trials in all, those of earlier calls included.")
    timeout: Annotated[
        float | None,
        BeforeValidator(_seconds),
        Accepts(("float", "str", "None")),
        Option(metavar="TIME", example="--timeout 30m"),
    ] = Field(None, gt=0, description="Start no trial after this time: seconds, or 30m, or 2h.")
    direction: Literal["maximize", "minimize"] | None = Field(
        None, description="Which objective is better. Default: minimize `loss`, maximize all else."
    )
    sampler: Annotated[Name, Option(suggestions=("tpe", "random", "qmc", "gp"))] = Field(
        "tpe",
        description="tpe, random, qmc, gp, …, or Optuna's own: 'TPESampler(multivariate=True)'.",
    )
    pruner: Annotated[Name, Option(suggestions=("median", "asha", "hyperband", "none"))] = Field(
        "median", description="median, asha, hyperband, none, …, or Optuna's own name."
    )
    tune_on: Literal["train", "validation"] = Field(
        "train",
        description="What trials are scored on: a held-out part of train, or validation.",
    )
    jobs: int = Field(1, ge=1, description="Parallel trials, each in a process of its own.")
    seeds: int = Field(
        1, ge=1, description="Seeds of the final runs: the best parameters on all of train."
    )
    final: bool = Field(True, description="Train the best parameters on all of train at the end.")
    ray: Annotated[Name | None, Option(metavar="ADDRESS", suggestions=("auto", "local"))] = Field(
        None, description="Run trials on a Ray cluster: auto, or HOST:PORT; local starts one here."
    )
    cpus_per_trial: _Amount = Field(None, description="Cores of a trial. Default: 1.")
    gpus_per_trial: _Amount = Field(
        None, description="GPUs of a trial; 0.5 lets two share one. Default: 0."
    )


class LeaderboardSettings(Settings):
    """What a leaderboard ranks."""

    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {"The leaderboard": ("models", "seeds")}

    models: Annotated[
        Names, Option(metavar="NAME,NAME,…", example="--models minilm,google/electra-small")
    ] = Field(min_length=1)
    """Checkpoints: Hub ids, folders, or `minilm`, with commas."""
    seeds: Annotated[
        int | tuple[int, ...],
        BeforeValidator(_seeds),
        Accepts(("int", "str", "Sequence[int]")),
        Option(metavar="NUMBER", example="--seeds 3, or --seeds 1,2,3"),
    ] = 3
    """How many seeds, from 42 on; or which, with commas: 1,2,3."""

    @property
    def numbers(self) -> tuple[int, ...]:
        """The seeds."""
        count = self.seeds
        return tuple(range(42, 42 + count)) if isinstance(count, int) else count

    @classmethod
    def contradictions(cls, values: Mapping[str, Any]) -> Iterable[Finding]:
        """Refuse less than one seed."""
        if values.get("seeds") in (0, (), "0", [], ","):
            yield Finding("--seeds: at least one is needed.", "Type: --seeds 3")


class SuiteSettings(Settings):
    """How a suite is run."""

    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "The suite": ("seeds", "tasks", "fraction", "recipe", "mnli_init", "jobs"),
        _CLUSTER: ("ray", "cpus_per_job", "gpus_per_job"),
    }
    common: ClassVar[tuple[str, ...]] = ("seeds", "tasks", "fraction", "recipe", "jobs")

    seeds: Annotated[
        int | tuple[int, ...],
        BeforeValidator(_seeds),
        Accepts(("int", "str", "Sequence[int]")),
        Option(metavar="NUMBER", example="--seeds 5, or --seeds 1,2,3"),
    ] = Field(5, description="How many seeds, from 42 on; or which, with commas: 1,2,3.")
    tasks: Annotated[Names | None, Option(metavar="NAME,NAME,…")] = Field(
        None, description="Tasks with commas: cola,rte. Default: all nine."
    )
    fraction: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Share of each training set. Default: all; of the sample, an eighth.",
    )
    recipe: Annotated[Name | None, Option(suggestions=tuple(RECIPES))] = Field(
        None, description=f"A published recipe; flags win over it: {', '.join(RECIPES)}."
    )
    mnli_init: bool = Field(
        False,
        description="Start RTE, MRPC and STS-B from MNLI's model of the same seed, with a new "
        "head.",
    )
    jobs: int | None = Field(
        None,
        ge=1,
        description="Parallel runs; they divide the cores, or share the GPU. Default of the "
        "command: 1 on a GPU, 2 on a CPU of several cores; all that a cluster has room for.",
    )
    ray: Annotated[Name | None, Option(metavar="ADDRESS", suggestions=("auto", "local"))] = Field(
        None, description="Train on a Ray cluster: auto, or HOST:PORT; local starts one here."
    )
    cpus_per_job: _Amount = Field(None, description="Cores of a run. Default: 1.")
    gpus_per_job: _Amount = Field(
        None, description="GPUs of a run; 0.5 lets two share one. Default: 0."
    )


def split_settings(
    model: type[Settings], given: Mapping[str, Any], findings: Findings
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Divide the settings `given` into an experiment's own and those of its runs.

    Former names are replaced by the new ones, with a warning; unknown names are added to
    `findings`.
    """
    own = {name: value for name, value in given.items() if name in model.model_fields}
    others = {name: value for name, value in given.items() if name not in own}
    rest: dict[str, Any] = {}
    for name, value in with_new_names(others, TrainConfig.former_names).items():
        if name in FOLD_SETTINGS:
            findings.add(
                f"{name}: a {model.__name__.removesuffix('Settings').lower()} has no folds.",
                "Cross-validate its best settings: gluetune train … --folds 5",
            )
        elif name in TrainConfig.model_fields:
            rest[name] = value
        else:
            unknown = unknown_setting(name, [model, TrainConfig])
            findings.add(unknown.message, unknown.hint)
    return own, rest


def check_settings(
    model: type[AnySettings], given: Mapping[str, Any], findings: Findings
) -> AnySettings:
    """Return an experiment's valid settings; add every invalid one to `findings`."""
    checked, wrong = validated(model, given, {name: flag_for(model, name) for name in given})
    if checked is not None:
        return checked
    for one in wrong:
        findings.add(one.message, one.hint)
    valid = {name: value for name, value in given.items() if validated(model, {name: value})[0]}
    return make_settings(model, valid)
