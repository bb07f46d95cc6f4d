"""How a search is run: how long, by what, on how many workers, and what follows it.

A definition of its own beside TrainConfig, checked in the same way: all mistakes at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from gluetune.errors import ConfigurationError, Finding

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def _seconds(value: object) -> object:
    """Read `90`, `30m` and `1.5h` as seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", str(value).strip())
    return float(match[1]) * _UNITS[match[2]] if match else value


class SearchOptions(BaseModel):
    """How a search is run. Of these, only what decides its trials is part of its identity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    trials: int = Field(20, ge=1, description="Trials in all, those of earlier runs included.")
    timeout: Annotated[float | None, BeforeValidator(_seconds)] = Field(
        None, gt=0, description="Begin no trial after this time: seconds, or 30m, or 2h."
    )
    direction: Literal["maximize", "minimize"] | None = Field(
        None, description="maximize or minimize the objective. Default: minimize `loss` only."
    )
    sampler: str = Field(
        "tpe", description="tpe, random, qmc, gp, …, or Optuna's own: 'TPESampler(NAME=VALUE)'."
    )
    pruner: str = Field(
        "median", description="median, asha, hyperband, none, …, or Optuna's own name."
    )
    tune_on: Literal["train", "validation"] = Field(
        "train",
        description="What trials are scored on: a part of train that is held out, or validation.",
    )
    jobs: int = Field(1, ge=1, description="Trials at a time, each in a process of its own.")
    seeds: int = Field(1, ge=1, description="Seeds that the best setting is trained with at last.")
    final: bool = Field(True, description="Train the best setting on all of train at last.")


def make_options(values: Mapping[str, Any]) -> SearchOptions:
    """Check how a search shall be run. Raises ConfigurationError that lists every mistake."""
    try:
        return SearchOptions.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigurationError.of([_finding(detail) for detail in error.errors()]) from error


def option_flag(name: str) -> str:
    """Return the command line's name of an option."""
    return f"--{name.replace('_', '-')}"


def _finding(detail: Any) -> Finding:
    name = str(detail["loc"][0])
    about = SearchOptions.model_fields[name]
    problem = detail["msg"][0].lower() + detail["msg"][1:]
    example = {"timeout": "30m", "direction": "maximize"}.get(name, about.default)
    return Finding(
        f"{option_flag(name)} {detail['input']}: {problem}.",
        f"{about.description} Type: {option_flag(name)} {example}",
    )
