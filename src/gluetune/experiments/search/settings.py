"""What a search is asked to do, its folder's name made from that, and the file that keeps it.

```
searches/cola-all-minilm-l6-v2-1f0c9a2b/
  search.yaml      what was asked, and what was found out when it began
  study.journal    the Optuna study
  trials/0000/     a run folder for each trial; only the best so far keeps its model
  final/s42/       the best setting, trained on all of train
  search.html      history, importances, parallel coordinates, the table of trials
```
How long a search goes on (trials, timeout), on how many workers, and what follows it (seeds) are
no part of what was asked: the same search can be gone on with, and further.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gluetune.core.config import TrainConfig
from gluetune.core.errors import RunError
from gluetune.core.files import is_unused, write_text
from gluetune.core.runs import model_slug
from gluetune.core.settings_files import dump_yaml, read_settings
from gluetune.core.tasks import TaskSpec
from gluetune.experiments.search.objective import Select, Selector
from gluetune.experiments.search.space import Space

Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class SearchSettings:
    """What decides every trial of a search."""

    base: TrainConfig
    """What is the same for all trials. Its seed is the search's; its metric the objective, where
    that is a metric; its holdout what is tuned on, 0 for the validation set."""
    space: Space | Callable[[Any], Mapping[str, Any]]
    """Parameters with their ranges and choices, or the user's `hp_space(trial)`."""
    compute_objective: Callable[[dict[str, float]], float] | None = None
    task: TaskSpec | None = None
    """What the trials are trained on, for the words that are said of it."""
    direction: Direction = "maximize"
    sampler: str = "tpe"
    pruner: str = "median"

    @property
    def objective(self) -> str:
        """What the objective is called."""
        own = self.compute_objective
        return self.base.metric if own is None else _named(own)

    @property
    def objective_title(self) -> str:
        """The same as people read it: with the class that F1 is of."""
        if self.compute_objective is not None or self.task is None:
            return self.objective
        return self.task.metric_title(self.objective)

    @property
    def sign(self) -> int:
        """What a selection value, of which greater is better, is multiplied by for the study."""
        return 1 if self.direction == "maximize" else -1

    @property
    def select(self) -> Select | None:
        """What chooses an epoch in place of the metric."""
        if self.compute_objective is None:
            return None
        return Selector(self.compute_objective, maximize=self.direction == "maximize")

    def asked(self) -> dict[str, Any]:
        """Return all that decides the trials, as JSON and YAML can hold it.

        Settings that came later are left out where they say what held before there were any: a
        search of then has the same name, and is gone on with by the same command.
        """
        varied = {"output"} if callable(self.space) else {"output", *self.space}
        fixed = self.base.model_dump(mode="json", exclude=varied, exclude_none=True)
        fixed["set"] = fixed.pop("training_args")  # the name of then, which the hash has
        implied = {"quoting": "auto", "positive": self._last_class}
        fixed = {name: value for name, value in fixed.items() if value != implied.get(name)}
        described = (
            {"callable": _identity(self.space)}
            if callable(self.space)
            else {name: varied.described() for name, varied in self.space.items()}
        )
        return {
            "fixed": fixed,
            "space": described,
            "objective": self.base.metric
            if self.compute_objective is None
            else {"callable": _identity(self.compute_objective)},
            "direction": self.direction,
            "sampler": self.sampler,
            "pruner": self.pruner,
        }

    @property
    def _last_class(self) -> str | None:
        """The class that F1 was of before it could be chosen."""
        return self.task.labels[-1] if self.task is not None and self.task.labels else None

    @property
    def name(self) -> str:
        """`TASK-MODEL-HASH`, the hash of everything that was asked."""
        asked = json.dumps(self.asked(), sort_keys=True, default=str)
        digest = hashlib.sha256(asked.encode()).hexdigest()[:8]
        return f"{self.base.task}-{model_slug(self.base.model)}-{digest}"


class SearchFolder:
    """Names of what lies in a search's folder. Nothing is read or made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings = path / "search.yaml"
        self.page = path / "search.html"

    def trial(self, number: int) -> Path:
        """Return the run folder of a trial."""
        return self.path / "trials" / f"{number:04d}"

    def final(self, seed: int) -> Path:
        """Return the run folder of the best setting trained with a seed."""
        return self.path / "final" / f"s{seed}"


def begin_or_go_on(
    folder: SearchFolder, settings: SearchSettings, found: Mapping[str, Any]
) -> dict[str, Any]:
    """Keep what was asked and `found` out, or return what was found out when the search began.

    Raises RunError where the folder holds another search, or something else.
    """
    asked = json.loads(json.dumps(settings.asked(), default=str))
    if folder.settings.exists():
        kept = read_settings(folder.settings)
        _check_same(folder, kept.get("asked"), asked)
        _check_same_data(folder, kept["found"]["fingerprints"], found["fingerprints"])
        return dict(kept["found"])
    write_text(folder.settings, dump_yaml({"asked": asked, "found": dict(found)}))
    return dict(found)


def check_folder(path: Path) -> None:
    """Raise RunError unless a search can begin or go on in `path`."""
    if not (path / "search.yaml").exists() and not is_unused(path, "search.yaml"):
        raise RunError(
            f"{path} exists, and holds no search.", hint="Choose another --output, or leave it out."
        )


def _check_same(folder: SearchFolder, kept: Any, asked: Mapping[str, Any]) -> None:
    if kept == asked:
        return
    before, now = _flat(kept if isinstance(kept, dict) else {}), _flat(asked)
    differing = [
        f"{name} was {before.get(name, 'not given')} and is {now.get(name, 'not given')}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]
    raise RunError(
        f"{folder.path} holds another search: {'; '.join(differing)}.",
        hint="Leave --output out, or choose another: a search is gone on with by its own command.",
    )


def _check_same_data(
    folder: SearchFolder, kept: Mapping[str, str], found: Mapping[str, str]
) -> None:
    changed = [split for split in found if kept.get(split) != found[split]]
    if changed:
        raise RunError(
            f"The data have changed since {folder.path} began: {', '.join(changed)}.",
            hint="Trials on other data cannot be compared. Choose another --output.",
        )


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        nested = isinstance(value, Mapping) and not before.startswith("space")
        found |= _flat(value, f"{before}{name}.") if nested else {f"{before}{name}": value}
    return {name.removeprefix("fixed."): value for name, value in found.items()}


def _named(function: Any) -> str:
    return str(getattr(function, "__qualname__", repr(function)))


def _identity(function: Any) -> str:
    """Name a function with the hash of its source, so that another function is another search."""
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        source = ""
    digest = hashlib.sha256(source.encode()).hexdigest()[:8]
    return f"{getattr(function, '__module__', '')}.{_named(function)} ({digest})"
