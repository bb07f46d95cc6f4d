"""The simulation of many devices agrees with what is true of any schedule."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from benchmarks.scaling import (
    RATES,
    ROWS,
    Job,
    World,
    informed,
    job_seconds,
    longest_first,
    main,
    rates_of,
    search_jobs,
    simulate,
    submission_order,
    suite_jobs,
)
from hypothesis import given
from hypothesis import strategies as st

from gluetune.core.tasks import GLUE_TASKS

_JOBS = st.lists(st.floats(1, 1000), min_size=1, max_size=30).map(
    lambda lengths: [Job(str(number), seconds) for number, seconds in enumerate(lengths)]
)
_POLICIES = st.sampled_from([longest_first, submission_order])


@given(_JOBS, st.integers(1, 40), _POLICIES)
def test_no_schedule_is_shorter_than_its_longest_job_or_its_share(
    jobs: list[Job], devices: int, policy: Any
) -> None:
    found = simulate(jobs, World(devices), policy)
    total, longest = sum(job.seconds for job in jobs), max(job.seconds for job in jobs)
    least = max(total / devices, longest)
    assert found.makespan >= least * (1 - 1e-9)
    # Graham: no greedy schedule is worse than twice the best; the longest first is 4/3 at most.
    assert found.makespan <= (total / devices + longest) * (1 + 1e-9)
    assert found.busy == pytest.approx(total)
    assert found.waited == 0
    assert len(found.starts) == len(found.ends) == len(jobs)


@given(_JOBS, _POLICIES)
def test_one_device_takes_the_sum_and_enough_devices_the_longest_job(
    jobs: list[Job], policy: Any
) -> None:
    total, longest = sum(job.seconds for job in jobs), max(job.seconds for job in jobs)
    assert simulate(jobs, World(1), policy).makespan == pytest.approx(total)
    assert simulate(jobs, World(len(jobs)), policy).makespan == pytest.approx(longest)


def test_the_longest_first_is_better_where_the_longest_comes_last() -> None:
    jobs = [Job("short", 1.0)] * 6 + [Job("long", 3.0)]
    assert simulate(jobs, World(3), longest_first).makespan == pytest.approx(3.0)
    assert simulate(jobs, World(3), submission_order).makespan == pytest.approx(5.0)


def test_slow_devices_and_storage_take_the_expected_time() -> None:
    jobs = [Job(str(number), 10.0, saves=2) for number in range(4)]
    slow = simulate(jobs, World(4, slow_share=1.0, slow_factor=2.0))
    assert slow.makespan == pytest.approx(20.0)
    # One device: a read of 1 s, and two saves of 3 s, for each of four jobs.
    stored = simulate(jobs, World(1, megabytes=100.0, bandwidth=100.0))
    assert stored.makespan == pytest.approx(4 * (10 + 1 + 2 * 3))
    assert stored.waited == pytest.approx(4 * 7)
    # Four devices share it: it is busy for as long, and the last one waits for the others.
    shared = simulate(jobs, World(4, megabytes=100.0, bandwidth=1.0))
    assert shared.makespan == pytest.approx(4 * 700, rel=0.01)


def test_with_a_device_for_every_trial_no_sampler_learns() -> None:
    rates = json.loads(RATES.read_text())
    trials = search_jobs(rates, "mnli", 0.1)
    assert informed(simulate(trials, World(len(trials)), submission_order)) == 0
    assert informed(simulate(trials, World(1), submission_order)) == len(trials) - 10


def test_the_rates_are_of_all_tasks_and_the_sizes_are_the_official_ones() -> None:
    rates = json.loads(RATES.read_text())
    assert set(rates["tasks"]) == set(ROWS) == set(GLUE_TASKS)
    assert len(suite_jobs(rates)) == 45
    fast = {**rates, "tasks": {"rte": {"training": 2490.0, "evaluation": 277.0}}, "start": 3.0}
    assert job_seconds(fast, "rte", epochs=5) == pytest.approx(3 + 5 + 6)


def test_rates_come_from_records_and_tables_are_written(tmp_path: Path) -> None:
    main(["--write", str(tmp_path / "tables.md")])
    text = (tmp_path / "tables.md").read_text()
    assert text.count("\n| 512 |") == 3
    assert rates_of([])["tasks"] == {}
