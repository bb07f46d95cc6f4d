"""The Optuna study of a search: its file, its samplers and pruners, its trials.

The study is a journal with one line per operation, which `optuna.load_study` and optuna-dashboard
can open. Only the process that has locked the search's folder starts and ends trials; workers
report values of their own trial. A trial whose process was killed is still RUNNING in the journal;
it is resumed with its number and parameters, and not replaced by another.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import logging
import os
import re
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gluetune.core.errors import ConfigurationError, RunError
from gluetune.core.text import nearest

if TYPE_CHECKING:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal._file import BaseJournalFileLock
    from optuna.trial import FrozenTrial

Direction = Literal["maximize", "minimize"]

JOURNAL = "study.journal"
"""Name of the study's file in a search's folder."""

PARAMETERS, ERROR = "parameters", "error"
"""User attributes of a trial: the settings that it trains with; why it failed."""

_TAIL = 1 << 16
"""Bytes at a journal's end that contain its last lines, which are far shorter."""
_STALE_SECONDS = 1.0
_POLL_SECONDS = 0.02

_SAMPLERS = {
    "tpe": "TPESampler",
    "random": "RandomSampler",
    "qmc": "QMCSampler",
    "gp": "GPSampler",
    "cma-es": "CmaEsSampler",
    "nsga-ii": "NSGAIISampler",
    "brute-force": "BruteForceSampler",
}
_PRUNERS = {
    "median": "MedianPruner",
    "asha": "SuccessiveHalvingPruner",
    "hyperband": "HyperbandPruner",
    "percentile": "PercentilePruner",
    "wilcoxon": "WilcoxonPruner",
    "threshold": "ThresholdPruner",
    "none": "NopPruner",
}
_ONE_SEED = frozenset({"QMCSampler"})
"""Samplers whose trials are one sequence with one seed."""


def seed_of(seed: int, number: int) -> int:
    """Return the sampler's seed for a trial: a different one for each trial of each search.

    A sampler created after a restart with the search's seed would propose the first trials again.
    """
    digest = hashlib.sha256(f"trial {number} of search {seed}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def make_sampler(
    text: str, seed: int, number: int, *, several: bool = False
) -> optuna.samplers.BaseSampler:
    """Return the sampler that proposes the `number`th trial of the search with this `seed`.

    Args:
        text: Optuna's name or a short one, with or without arguments: `tpe`, `TPESampler`,
            `TPESampler(multivariate=True)`.
        seed: The search's seed.
        number: The trial's number.
        several: Whether trials run in parallel. TPE then uses `constant_liar`, to propose trials
            unlike those that are running.

    Raises:
        ConfigurationError: where Optuna has no such sampler.
    """
    name, given = _parsed(text, _SAMPLERS, "--sampler")
    made = _class_of("samplers", name, _SAMPLERS, f"--sampler {text}")
    if "seed" in inspect.signature(made).parameters:
        given.setdefault("seed", seed if name in _ONE_SEED else seed_of(seed, number))
    if several and "constant_liar" in inspect.signature(made).parameters:
        given.setdefault("constant_liar", True)
    sampler: optuna.samplers.BaseSampler = _made(made, given, f"--sampler {text}")
    return sampler


def make_pruner(text: str) -> optuna.pruners.BasePruner:
    """Return the pruner that `text` names: `median`, `MedianPruner(n_warmup_steps=1)`, `none`.

    Raises ConfigurationError where Optuna has no such pruner.
    """
    name, given = _parsed(text, _PRUNERS, "--pruner")
    place = f"--pruner {text}"
    made = _class_of("pruners", name, _PRUNERS, place)
    pruner: optuna.pruners.BasePruner = _made(made, given, place)
    return pruner


def open_storage(folder: Path) -> JournalStorage:
    """Open the journal in `folder`. Several processes may have it open."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    # Absolute: its lock is a symbolic link to it, and a relative one would be broken.
    path = (folder / JOURNAL).absolute()
    with quiet_optuna():
        return JournalStorage(JournalFileBackend(str(path), _journal_lock(path)))


def open_study(folder: Path, name: str, direction: Direction) -> optuna.Study:
    """Open or create the study of the search in `folder`, whose lock this process holds.

    Repairs a journal that a killed process left with a truncated last line or a lock.

    Raises RunError where the journal is of another study or is damaged.
    """
    import optuna

    path = folder / JOURNAL
    _remove_dead_lock(path.with_name(f"{path.name}.lock"))
    try:
        storage = open_storage(folder)
        there = [study.study_name for study in storage.get_all_studies()]
        if there and not (len(there) == 1 and _is_of_one_search(there[0], name)):
            raise RunError(
                f"{path} holds another study: {', '.join(there)}.",
                hint="Choose another --output.",
            )
        with quiet_optuna():
            return optuna.create_study(
                storage=storage,
                study_name=there[0] if there else name,
                direction=direction,
                load_if_exists=True,
            )
    except (ValueError, KeyError) as error:  # lines that are not JSON, or not of a journal
        raise RunError(
            f"{path} is damaged: {error}.", hint="Choose another --output, or remove it."
        ) from error


def load_study(folder: Path) -> optuna.Study:
    """Open the study of a search for reading. Raises RunError where there is none."""
    import optuna

    if not (folder / JOURNAL).exists():
        raise RunError(f"{folder} has no {JOURNAL}.")
    try:
        storage = open_storage(folder)
        (name,) = (study.study_name for study in storage.get_all_studies())
        with quiet_optuna():
            # The default sampler would import modules that only new trials need.
            sampler = optuna.samplers.RandomSampler(seed=0)
            return optuna.load_study(study_name=name, storage=storage, sampler=sampler)
    except (ValueError, KeyError) as error:  # no study, several, or lines that are not JSON
        raise RunError(f"{folder / JOURNAL} is damaged: {error}.") from error


def importances(study: optuna.Study, seed: int) -> Mapping[str, float]:
    """Return the importance of each parameter by fANOVA; empty where it is undefined.

    It needs two finished trials with different values, and parameters that all trials have.
    """
    import optuna

    done = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    if len({trial.value for trial in done}) < 2:
        return {}
    with quiet_optuna():
        found = optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=seed)
        )
    return {name: share for name, share in found.items() if share == share}  # no NaN


def _is_of_one_search(there: str, name: str) -> bool:
    """Whether a study's name is `name`, or another release's name of the same search."""
    prefix = re.escape(name.rpartition("-")[0])
    return there == name or bool(prefix and re.fullmatch(rf"{prefix}-[0-9a-f]{{8}}", there))


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Suppress Optuna's log, since gluetune logs itself, and its ExperimentalWarning."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


def get_trial(study: optuna.Study, number: int) -> optuna.Trial:
    """Return a running trial, to report to. Its parameters are not sampled again."""
    import optuna

    (frozen,) = (one for one in study.get_trials(deepcopy=False) if one.number == number)
    return optuna.Trial(study, frozen._trial_id)


def trials_of(study: optuna.Study) -> list[FrozenTrial]:
    """Return all trials, by number."""
    return study.get_trials(deepcopy=False)


def unfinished(study: optuna.Study) -> list[int]:
    """Return the numbers of the trials in state RUNNING; before any is started, those killed."""
    return [trial.number for trial in trials_of(study) if not trial.state.is_finished()]


def _journal_lock(path: Path) -> BaseJournalFileLock:
    """Return Optuna's lock of a journal, extended to remove a truncated last line on acquisition.

    A process that is killed while it writes leaves such a line. The line that the next process
    appends to it would not be JSON, and the journal could no longer be read.
    """
    from optuna.storages.journal import JournalFileSymlinkLock

    class TrimmingLock(JournalFileSymlinkLock):  # type: ignore[misc,unused-ignore]  # Optuna's, untyped in part
        def acquire(self) -> bool:
            acquired = super().acquire()
            remove_truncated_line(path)
            return acquired

    return TrimmingLock(str(path))


def remove_truncated_line(journal: Path) -> None:
    """Remove a truncated line from the end of a journal whose lock this process holds.

    A complete last line that is not JSON, after one that is, is two lines written into each other.
    """
    if not journal.exists():
        return
    with journal.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        start = max(0, size - _TAIL)
        file.seek(start)
        tail = file.read()
        kept = tail[: tail.rfind(b"\n") + 1]
        lines = kept.splitlines(keepends=True)[-2:]
        if len(lines) == 2 and _is_json(lines[0]) and not _is_json(lines[1]):
            kept = kept[: -len(lines[1])]
        if len(kept) < len(tail) and (kept or start == 0):
            file.truncate(start + len(kept))


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _remove_dead_lock(lock: Path) -> None:
    """Remove a journal's lock that a killed process left; Optuna would wait half a minute.

    A lock does not name its owner. A live process holds it for milliseconds, so a lock that does
    not change for a second is stale.
    """
    seen, since = _identity(lock), time.monotonic()
    while seen is not None:
        time.sleep(_POLL_SECONDS)
        now = _identity(lock)
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > _STALE_SECONDS:
            lock.unlink(missing_ok=True)
            return


def _identity(lock: Path) -> tuple[int, int] | None:
    try:
        found = lock.lstat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _parsed(text: str, short: dict[str, str], flag: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the arguments in `Name` or `Name(key=value, …)`."""
    name, bracket, arguments = text.partition("(")
    name = name.strip()
    try:
        call = ast.parse(f"f({arguments}" if bracket else "f()", mode="eval")
        if not isinstance(call.body, ast.Call) or call.body.args:
            raise ValueError
        given = {str(word.arg): ast.literal_eval(word.value) for word in call.body.keywords}
    except (SyntaxError, ValueError) as error:
        raise ConfigurationError(
            f"{flag} {text!r} cannot be read.",
            hint=f"Type for instance: {flag} '{next(iter(short.values()))}(NAME=VALUE)'",
        ) from error
    return short.get(name.lower(), name), given


def _class_of(kind: str, name: str, short: dict[str, str], place: str) -> Any:
    import optuna

    module = getattr(optuna, kind)
    known = [one for one in module.__all__ if one[0].isupper() and not one.startswith("Base")]
    if name in known:
        return getattr(module, name)
    raise ConfigurationError(
        f"{place}: Optuna has no such {kind.removesuffix('s')}.",
        hint=f"{nearest(name, [*short, *known])}Names: {', '.join(short)}, and Optuna's own: "
        f"{', '.join(known)}.",
    )


def _made(made: Any, given: dict[str, Any], place: str) -> Any:
    try:
        with quiet_optuna():
            return made(**given)
    except (TypeError, ValueError, ImportError, NotImplementedError) as error:
        raise ConfigurationError(
            f"{place}: {str(error).strip().splitlines()[0]}",
            hint=f"See optuna.{made.__name__}, and write its arguments in parentheses.",
        ) from error
