"""Samplers and pruners by name, and a study on disk that survives its process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gluetune.core.errors import ConfigurationError, RunError
from gluetune.experiments.search.study import (
    JOURNAL,
    get_trial,
    make_pruner,
    make_sampler,
    open_study,
    seed_of,
    trials_of,
    unfinished,
)


@given(st.integers(0, 2**32 - 1), st.integers(0, 10_000))
def test_every_trial_of_every_search_has_its_own_seed(seed: int, number: int) -> None:
    found = seed_of(seed, number)
    assert 0 <= found < 2**32
    assert found == seed_of(seed, number)
    assert found not in (seed_of(seed, number + 1), seed_of(seed + 1, number))


def _propose(folder: Path, number: int) -> float:
    """Propose one more trial from a study that is opened again, as after a restart."""
    study = open_study(folder, "s", "maximize")
    study.sampler = make_sampler("tpe", 42, number)
    trial = study.ask()
    value = trial.suggest_float("x", 0, 1)
    study.tell(trial, value)
    return value


def test_a_restarted_search_does_not_repeat_trials(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    values = [_propose(tmp_path / "a", number) for number in range(12)]
    assert len(set(values)) == 12
    assert values == [_propose(tmp_path / "b", number) for number in range(12)]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("tpe", "TPESampler"),
        ("TPESampler(multivariate=True, n_startup_trials=3)", "TPESampler"),
        ("random", "RandomSampler"),
        ("qmc", "QMCSampler"),
        ("brute-force", "BruteForceSampler"),
        ("NSGAIISampler", "NSGAIISampler"),
    ],
)
def test_a_sampler_has_optuna_s_name_or_a_short_one(text: str, kind: str) -> None:
    assert type(make_sampler(text, 42, 0)).__name__ == kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("median", "MedianPruner"),
        ("asha", "SuccessiveHalvingPruner"),
        ("hyperband", "HyperbandPruner"),
        ("none", "NopPruner"),
        ("PercentilePruner(percentile=25.0)", "PercentilePruner"),
    ],
)
def test_a_pruner_has_optuna_s_name_or_a_short_one(text: str, kind: str) -> None:
    assert type(make_pruner(text)).__name__ == kind


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("medain", "Did you mean 'median'?"),
        ("BasePruner", "Optuna has no such pruner"),
        ("threshold", "Either lower or upper"),
        ("MedianPruner(3)", "cannot be read"),
        ("MedianPruner(n_startup_trials=", "cannot be read"),
        ("MedianPruner(n_startup_trials=__import__('os'))", "cannot be read"),
        ("MedianPruner(n=1)", "unexpected keyword argument 'n'"),
        ("MedianPruner(n_startup_trials=-1)", "negative"),
    ],
)
def test_an_unknown_pruner_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match="--pruner") as caught:
        make_pruner(text)
    assert said in str(caught.value)


def test_a_killed_trial_keeps_its_number_and_parameters(tmp_path: Path) -> None:
    study = open_study(tmp_path, "s", "maximize")
    trial = study.ask()
    value = trial.suggest_float("x", 0, 1)
    trial.report(0.5, 1)

    again = open_study(tmp_path, "s", "maximize")
    assert unfinished(again) == [0]
    taken = get_trial(again, 0)
    assert taken.suggest_float("x", 0, 1) == value
    taken.report(0.7, 2)
    again.tell(0, 0.7)
    (frozen,) = trials_of(open_study(tmp_path, "s", "maximize"))
    assert (frozen.number, frozen.value, frozen.intermediate_values) == (0, 0.7, {1: 0.5, 2: 0.7})


def test_a_truncated_line_and_a_stale_lock_are_repaired(tmp_path: Path) -> None:
    study = open_study(tmp_path, "s", "maximize")
    study.tell(study.ask(), 1.0)
    journal = tmp_path / JOURNAL
    journal.write_bytes(journal.read_bytes() + b'{"op_code":4,"worker_')
    (tmp_path / f"{JOURNAL}.lock").symlink_to(journal)

    again = open_study(tmp_path, "s", "maximize")
    again.tell(again.ask(), 2.0)
    assert [trial.value for trial in trials_of(open_study(tmp_path, "s", "maximize"))] == [1, 2]


@pytest.mark.parametrize("torn", [b'{"op_code":4,"torn', b'{"op_code":4,"torn{"op_code":4}\n'])
def test_a_truncated_line_is_removed_before_appending(tmp_path: Path, torn: bytes) -> None:
    """A worker may be killed while it writes, and its search continues."""
    study = open_study(tmp_path, "s", "maximize")
    study.tell(study.ask(), 1.0)
    with (tmp_path / JOURNAL).open("ab") as journal:
        journal.write(torn)
    study.tell(study.ask(), 2.0)
    assert torn not in (tmp_path / JOURNAL).read_bytes()
    assert [trial.value for trial in trials_of(open_study(tmp_path, "s", "maximize"))] == [1, 2]


def test_a_live_lock_is_not_removed(tmp_path: Path) -> None:
    """Somebody holds the journal's lock again and again, a moment each time."""
    study = open_study(tmp_path, "s", "maximize")
    study.tell(study.ask(), 1.0)
    code = """
import sys, time
from pathlib import Path
from gluetune.experiments.search.study import JOURNAL, _journal_lock
folder = Path(sys.argv[1])
lock = _journal_lock(folder / JOURNAL)
end = time.monotonic() + 3
while time.monotonic() < end:
    lock.acquire()
    print("held", flush=True)
    with (folder / JOURNAL).open("ab") as journal:
        journal.write(b'{"op_code":2,"worker_id":"x",')
        journal.flush()
        time.sleep(0.3)
        journal.write(b'"study_id":0,"user_attr":{"a":1}}\\n')
    lock.release()
"""
    writer = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    again = open_study(tmp_path, "s", "maximize")
    again.tell(again.ask(), 2.0)
    assert writer.wait() == 0, "its lock was taken away"
    lines = (tmp_path / JOURNAL).read_bytes().splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines)


def test_another_study_and_a_damaged_one_are_refused(tmp_path: Path) -> None:
    open_study(tmp_path, "one", "maximize")
    with pytest.raises(RunError, match="holds another study: one"):
        open_study(tmp_path, "two", "maximize")
    (tmp_path / JOURNAL).write_bytes(b"no journal\nat all\n")
    with pytest.raises(RunError, match="is damaged"):
        open_study(tmp_path, "one", "maximize")


def test_the_verbosity_of_optuna_is_restored(tmp_path: Path) -> None:
    before = optuna.logging.get_verbosity()
    open_study(tmp_path, "s", "maximize")
    assert optuna.logging.get_verbosity() == before
