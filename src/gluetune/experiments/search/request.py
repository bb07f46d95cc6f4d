"""The request of a search, the name of its folder, and the file that stores both.

```
searches/cola-all-minilm-l6-v2-1f0c9a2b/
  search.yaml      the request, and what was resolved when the search started
  study.journal    the Optuna study
  trials/0000/     a run folder for each trial; only the best so far keeps its model
  final/s42/       the best parameters, trained on all of train
  search.html      history, importances, parallel coordinates, the table of trials
```
How long a search lasts (trials, timeout), its number of processes and its final runs (seeds) are
not part of the request: the same search can be resumed and extended.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from os import PathLike
from pathlib import Path
from typing import Any

from gluetune.core.config import TrainConfig, make_config
from gluetune.core.errors import ConfigurationError, RunError
from gluetune.core.files import is_unused, write_text
from gluetune.core.runs import model_slug
from gluetune.core.settings_files import dump_yaml, read_settings
from gluetune.core.tasks import TaskSpec
from gluetune.experiments.folders import differences, digest, find_folder
from gluetune.experiments.search.objective import Select, Selector
from gluetune.experiments.search.space import Space
from gluetune.experiments.search.study import Direction


@dataclass(frozen=True)
class SearchRequest:
    """The settings that determine every trial of a search."""

    base: TrainConfig
    """Settings of all trials. `seed` is the search's; `metric` is the objective, where that is a
    metric; `holdout` is the share of train that trials are scored on, 0 for the validation set."""
    space: Space | Callable[[Any], Mapping[str, Any]]
    """Parameters with their ranges and choices, or the user's `hp_space(trial)`."""
    compute_objective: Callable[[dict[str, float]], float] | None = None
    task: TaskSpec | None = None
    """The task that trials are trained on."""
    direction: Direction = "maximize"
    sampler: str = "tpe"
    pruner: str = "median"

    @property
    def objective(self) -> str:
        """Name of the objective."""
        own = self.compute_objective
        return self.base.metric if own is None else _named(own)

    @property
    def objective_title(self) -> str:
        """The objective's name for display, with the class that F1 is of."""
        if self.compute_objective is not None or self.task is None:
            return self.objective
        return self.task.metric_title(self.objective)

    @property
    def sign(self) -> int:
        """1, or -1 for a study that minimizes: the factor from selection values to study values."""
        return 1 if self.direction == "maximize" else -1

    @property
    def select(self) -> Select | None:
        """Computes the value that selects the best epoch, where the objective is a function."""
        if self.compute_objective is None:
            return None
        return Selector(self.compute_objective, maximize=self.direction == "maximize")

    def requested(self) -> dict[str, Any]:
        """Return the settings that determine the trials, as JSON values."""
        space = (
            {"callable": _identity(self.space)}
            if callable(self.space)
            else {name: varied.described() for name, varied in self.space.items()}
        )
        requested = {
            "fixed": self._fixed(self.base, space),
            "space": space,
            "objective": self.base.metric
            if self.compute_objective is None
            else {"callable": _identity(self.compute_objective)},
            "direction": self.direction,
            "sampler": self.sampler,
            "pruner": self.pruner,
        }
        plain: dict[str, Any] = json.loads(json.dumps(requested, default=str))
        return plain

    def read(self, path: Path) -> dict[str, Any]:
        """Return the request of the search in `path`, with this release's names and defaults.

        Raises RunError where there is no readable one.
        """
        kept = read_request(SearchFolder(path))
        try:
            base = make_config(kept["fixed"])
        except (ConfigurationError, TypeError) as error:
            raise RunError(f"{SearchFolder(path).settings} cannot be read: {error}") from error
        fixed = json.loads(json.dumps(self._fixed(base, kept["space"]), default=str))
        return {**kept, "fixed": fixed}

    def find(self, root: Path) -> Path:
        """Return the search's folder in `root`: an existing one with this request, or a new one."""
        return find_folder(root / self.name, self.requested(), self.read)

    @property
    def name(self) -> str:
        """`TASK-MODEL-HASH`; the hash is of the settings that differ from their defaults."""
        default = _defaults()
        given = {
            name: value
            for name, value in self.requested().items()
            if value != default.get(name, value) or name == "space"
        }
        given["fixed"] = self._fixed(self.base, tuple(given["space"]), exclude_defaults=True)
        return f"{self.prefix}-{digest(given)}"

    @property
    def prefix(self) -> str:
        """`TASK-MODEL`, the prefix of the folder's and the study's name."""
        return f"{self.base.task}-{model_slug(self.base.model)}"

    def _fixed(
        self, config: TrainConfig, varied: Iterable[str], *, exclude_defaults: bool = False
    ) -> dict[str, Any]:
        fixed = config.model_dump(
            mode="json",
            exclude={"output", *varied},
            exclude_none=True,
            exclude_defaults=exclude_defaults,
        )
        # The last class is the default.
        labels = self.task.labels if self.task is not None else ()
        if labels and fixed.get("positive") == labels[-1]:
            del fixed["positive"]
        return fixed


class SearchFolder:
    """Paths in a search's folder. Nothing is read or created."""

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path: Path = Path(path)
        self.settings: Path = self.path / "search.yaml"
        self.page: Path = self.path / "search.html"

    def trial(self, number: int) -> Path:
        """Return the run folder of a trial."""
        return self.path / "trials" / f"{number:04d}"

    def final(self, seed: int) -> Path:
        """Return the run folder of the best parameters trained with a seed."""
        return self.path / "final" / f"s{seed}"


def load_or_create(
    folder: SearchFolder, request: SearchRequest, found: Mapping[str, Any]
) -> dict[str, Any]:
    """Write `request` and `found` to a new folder, or return what an existing one has as `found`.

    Raises RunError where the folder holds another search, or one on other data.
    """
    requested = request.requested()
    if folder.settings.exists():
        before = request.read(folder.path)
        if before != requested:
            raise RunError(
                f"{folder.path} holds another search: {differences(before, requested)}.",
                hint="Leave --output out, or choose another. To resume a search, type the command "
                "that started it.",
            )
        kept: dict[str, Any] = read_settings(folder.settings)["found"]
        _check_same_data(folder, kept["fingerprints"], found["fingerprints"])
        return kept
    write_text(folder.settings, dump_yaml({"request": requested, "found": dict(found)}))
    return dict(found)


def check_folder(path: Path) -> None:
    """Raise RunError unless a search can start or resume in `path`."""
    if not (path / "search.yaml").exists() and not is_unused(path, "search.yaml"):
        raise RunError(
            f"{path} exists and is not a search.", hint="Choose another --output, or leave it out."
        )


def read_request(folder: SearchFolder) -> dict[str, Any]:
    """Return the request in a folder, with defaults for settings that later releases added.

    Raises RunError where there is none. Version 1 of the file has another name for it.
    """
    try:
        kept = read_settings(folder.settings)
    except ConfigurationError as error:
        raise RunError(error.findings[0].message) from error
    request = kept.get("request", kept.get("asked"))
    if not isinstance(request, dict) or not {"fixed", "space"} <= request.keys():
        raise RunError(f"{folder.settings} is damaged: it has no request.")
    return {**_defaults(), **request}


def _check_same_data(
    folder: SearchFolder, kept: Mapping[str, str], found: Mapping[str, str]
) -> None:
    changed = [split for split in found if kept.get(split) != found[split]]
    if changed:
        raise RunError(
            f"The data have changed since {folder.path} started: {', '.join(changed)}.",
            hint="Trials on other data cannot be compared. Choose another --output.",
        )


def _defaults() -> dict[str, Any]:
    """Return the defaults of a request."""
    named = {one.name: one.default for one in fields(SearchRequest) if isinstance(one.default, str)}
    return {"objective": TrainConfig.model_fields["metric"].default, **named}


def _named(function: Any) -> str:
    return str(getattr(function, "__qualname__", repr(function)))


def _identity(function: Any) -> str:
    """Identify a function by its name and a hash of its source."""
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        source = ""
    source_digest = hashlib.sha256(source.encode()).hexdigest()[:8]
    return f"{getattr(function, '__module__', '')}.{_named(function)} ({source_digest})"
