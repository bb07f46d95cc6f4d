"""The objective: a configuration's training in a folder of its own, and what it is worth.

Nothing here knows a search, a sampler or a pruner: the result depends on the configuration alone,
so a trial is repeated, to the bit, by `gluetune train --config FOLDER/config.yaml`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gluetune.core.config import TrainConfig
from gluetune.core.errors import ConfigurationError, Pruned, TrainingError
from gluetune.core.records import EpochRecord, Record, Status
from gluetune.core.runs import Run, RunFolder
from gluetune.parallel.orphans import wait_until_free
from gluetune.training.progress import Reporter, make_reporter
from gluetune.training.run import train

Select = Callable[[Mapping[str, float]], float]
"""From an evaluation's numbers to its value, of which greater is better."""


def objective(
    config: TrainConfig,
    folder: Path,
    report: Callable[[EpochRecord], None],
    *,
    select: Select | None = None,
    progress: bool | Reporter = False,
) -> Run:
    """Train `config` in `folder`, or go on with the training there; return the finished run.

    `report` is told of every evaluation in their order, those before a resumption too; it may
    raise Pruned, which closes the run's record as pruned. `select` stands in for `config.metric`.
    A run that is finished is returned at once, and one that is pruned raises Pruned again: neither
    reports anything.

    Raises:
        GluetuneError: as `train`; Pruned where `report` raised it, now or before.
        KeyboardInterrupt, SystemExit: after a signal, once the state to resume from is saved.
    """
    given: dict[str, Any] = {"on_epoch": report, "select": select, "progress": progress}
    wait_until_free(folder, make_reporter(progress).say)
    if not RunFolder(folder).record.exists():
        return train(config=config.model_copy(update={"output": folder}), **given)
    run = Run(folder)
    if run.record.status is Status.PRUNED:
        raise Pruned(f"{folder} was pruned after {len(run.record.epochs)} evaluations.")
    return run if run.record.status is Status.FINISHED else train(resume=folder, **given)


def value_of(record: Record) -> float:
    """Return what a trial is worth: the selection value of its best epoch, greater is better.

    Raises TrainingError where no epoch's value is defined.
    """
    values = [epoch.selection for epoch in record.epochs if epoch.selection is not None]
    if not values:
        raise TrainingError(
            f"The objective is undefined in all {len(record.epochs)} epochs of this trial."
        )
    return max(values)


@dataclass(frozen=True)
class Selector:
    """A Select made of the user's function, which reads names with or without Trainer's `eval_`.

    Raises ConfigurationError where the function asks for a number that does not exist.
    """

    compute_objective: Callable[[dict[str, float]], float]
    maximize: bool

    def __call__(self, numbers: Mapping[str, float]) -> float:
        """Return the value of an evaluation; greater is better."""
        given = {**numbers, **{f"eval_{name}": value for name, value in numbers.items()}}
        try:
            value = float(self.compute_objective(given))
        except KeyError as error:
            raise ConfigurationError(
                f"compute_objective asks for {error.args[0]!r}, which no evaluation gives.",
                hint=f"There are: {', '.join(numbers)}; each also with `eval_` before it.",
            ) from error
        return value if self.maximize else -value
