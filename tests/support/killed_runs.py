"""Runs that kill their own process at a chosen moment, as SIGKILL or a power cut would."""

from __future__ import annotations

import os
import pkgutil
import signal
from collections.abc import Callable
from typing import Any

from tests.support.forks import FORKS

import gluetune

_PLACES = {
    "step": "gluetune.training.run_trainer.RunTrainer.training_step",
    "evaluation": "gluetune.training.run_trainer.RunTrainer.score",
    "weights": "gluetune.training.run_trainer.RunTrainer.save_model",
    "state": "gluetune.training.run_trainer.RunTrainer._save_rng_state",
    "manifest": "gluetune.training.checkpoints.write_json",
    "sweep": "gluetune.training.checkpoints.shutil.rmtree",
    "model": "gluetune.training.job.shutil.copytree",
    "predictions": "gluetune.training.job.keep_predictions",
}
MOMENTS = tuple(_PLACES)
"""Where a run can be killed: at the n-th call of one of its functions."""
_FIRST_PLACES = {
    "settings": "gluetune.core.config.write_text",
    "first record": "gluetune.core.records.write_json",
    "text baseline": "gluetune.training.history.kept_baseline",
}
FIRST_MOMENTS = tuple(_FIRST_PLACES)
"""Where a run can be killed before it trains."""
_SEARCH_PLACES = {
    "proposal": "gluetune.experiments.search.scheduler.SearchScheduler._suggest",
    "start": "gluetune.experiments.search.scheduler.run_trial",
    "report": "gluetune.experiments.search.objective.emit",
    "end": "gluetune.experiments.search.scheduler.SearchScheduler._end",
    "told": "gluetune.experiments.search.scheduler.SearchScheduler.keep_best_model_only",
}
SEARCH_MOMENTS = tuple(_SEARCH_PLACES)
"""Where a search can be killed, in addition."""


def train_and_die(moment: str, count: int, arguments: dict[str, Any]) -> int:
    """Train in another process that dies at the `count`-th `moment`; return its exit code.

    It is -9 when it was killed, and 0 when the run ended before that moment.
    """
    return _die("train", moment, count, arguments)


def search_and_die(moment: str, count: int, arguments: dict[str, Any]) -> int:
    """Search in another process that dies at the `count`-th `moment`; return its exit code."""
    return _die("search", moment, count, arguments)


def _die(verb: str, moment: str, count: int, arguments: dict[str, Any]) -> int:
    process = FORKS.Process(target=_run, args=(verb, moment, count, arguments))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _run(verb: str, moment: str, count: int, arguments: dict[str, Any]) -> None:
    place, _, name = {**_PLACES, **_FIRST_PLACES, **_SEARCH_PLACES}[moment].rpartition(".")
    owner = pkgutil.resolve_name(place)
    setattr(owner, name, _deadly(getattr(owner, name), count))
    getattr(gluetune, verb)(**arguments, progress=False)


def _deadly(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    calls = 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    return counted
