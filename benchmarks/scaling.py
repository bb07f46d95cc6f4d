"""How long a suite and a search take on 1 to 512 devices: a small simulation from measured rates.

    python benchmarks/scaling.py [--rates FILE] [--write FILE]
    python benchmarks/scaling.py --from-runs runs/* --write-rates FILE

The rates are read from a JSON file: examples per second in training and in evaluation, by task, as
measured on one device (benchmarks/results/scaling-rates.json: two cores of a CPU; give your own
GPU's, or take them from the records of runs). Everything else is simulated: devices take one job
at a time, one storage serves all of them in turn, and a few devices are slow.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

RATES = Path(__file__).parent / "results" / "scaling-rates.json"
DEVICES = (1, 8, 64, 512)
SEEDS, TRIALS, EPOCHS, WARM_UP = 5, 200, 5, 10
"""Of a suite; of a search; of a run; finished trials from which TPE begins to learn."""
FASTER = 100
"""For the table that supposes a faster device."""
ROWS = {  # training, validation: the official sizes
    "cola": (8551, 1043),
    "sst2": (67349, 872),
    "mrpc": (3668, 408),
    "stsb": (5749, 1500),
    "qqp": (363846, 40430),
    "mnli": (392702, 19647),
    "qnli": (104743, 5463),
    "rte": (2490, 277),
    "wnli": (635, 71),
}


@dataclass(frozen=True)
class Job:
    """One run: how long it computes, and how often it uses the storage."""

    name: str
    seconds: float
    saves: int = EPOCHS


@dataclass(frozen=True)
class World:
    """What jobs run on."""

    devices: int
    slow_share: float = 0.0
    slow_factor: float = 2.0
    megabytes: float = 0.0
    """What a job reads when it starts; a save writes three times as much (Adam keeps two more)."""
    bandwidth: float = 1000.0
    """Megabytes per second that the storage serves to all devices together."""
    seed: int = 0


@dataclass
class Outcome:
    """The result of a simulation."""

    makespan: float
    busy: float
    """Device seconds that were computed."""
    waited: float
    """Device seconds that were spent on the storage, its queue included."""
    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)


Policy = Callable[[Sequence[Job]], list[Job]]


def submission_order(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs as they were given."""
    return list(jobs)


def longest_first(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs, the longest first."""
    return sorted(jobs, key=lambda job: -job.seconds)


def simulate(jobs: Sequence[Job], world: World, policy: Policy = longest_first) -> Outcome:
    """Let each device take the next job whenever it is free, and return the result."""
    speeds = _speeds(world)
    free = [(0.0, device) for device in range(world.devices)]
    heapq.heapify(free)
    storage = _Storage(world)
    outcome = Outcome(0.0, 0.0, 0.0)
    # Every event is a part of a job: reading, then computing up to each save, then the save.
    waiting = policy(jobs)
    events: list[tuple[float, int, int, int]] = []
    running: dict[int, Job] = {}
    while waiting or events:
        if waiting and free and (not events or free[0][0] <= events[0][0]):
            now, device = heapq.heappop(free)
            running[device] = waiting.pop(0)
            outcome.starts.append(now)
            heapq.heappush(events, (storage.serve(now, world.megabytes), device, 0, 0))
            continue
        now, device, part, saving = heapq.heappop(events)
        job = running[device]
        if part == job.saves and not saving:
            outcome.ends.append(now)
            heapq.heappush(free, (now, device))
        elif not saving:
            seconds = job.seconds / job.saves * speeds[device]
            outcome.busy += seconds
            heapq.heappush(events, (now + seconds, device, part + 1, 1))
        else:
            heapq.heappush(events, (storage.serve(now, 3 * world.megabytes), device, part, 0))
    outcome.makespan = max(outcome.ends, default=0.0)
    outcome.waited = storage.waited
    return outcome


class _Storage:
    """Serves one request after the other."""

    def __init__(self, world: World) -> None:
        self._bandwidth = world.bandwidth
        self._free = 0.0
        self.waited = 0.0

    def serve(self, now: float, megabytes: float) -> float:
        end = max(now, self._free) + megabytes / self._bandwidth
        self._free = end
        self.waited += end - now
        return end


def _speeds(world: World) -> list[float]:
    draw = random.Random(world.seed)
    slow = [draw.random() < world.slow_share for _ in range(world.devices)]
    return [world.slow_factor if one else 1.0 for one in slow]


def job_seconds(
    rates: Mapping[str, Any], task: str, *, epochs: float = EPOCHS, fraction: float = 1.0
) -> float:
    """Return how long a training takes: start, epochs, an evaluation after each, and one more."""
    train, validation = ROWS[task]
    rate = rates["tasks"][task]
    evaluations = (epochs + 1) * validation / rate["evaluation"]
    return float(rates["start"] + epochs * fraction * train / rate["training"] + evaluations)


def suite_jobs(rates: Mapping[str, Any]) -> list[Job]:
    """Return the jobs of a suite with five seeds, task by task."""
    return [
        Job(f"{task}-{seed}", job_seconds(rates, task)) for task in ROWS for seed in range(SEEDS)
    ]


def search_jobs(rates: Mapping[str, Any], task: str, fraction: float, seed: int = 0) -> list[Job]:
    """Return a search's trials: 2 to 5 epochs, of which a median pruner stops half after one."""
    draw = random.Random(seed)
    jobs = []
    for number in range(TRIALS):
        pruned = number >= WARM_UP and draw.random() < 0.5
        epochs = 1 if pruned else draw.randint(2, 5)
        seconds = job_seconds(rates, task, epochs=epochs, fraction=fraction)
        jobs.append(Job(f"trial-{number}", seconds, saves=epochs))
    return jobs


def informed(outcome: Outcome) -> int:
    """Return how many trials began when enough others had ended for the sampler to learn from."""
    ends = sorted(outcome.ends)
    if len(ends) < WARM_UP:
        return 0
    return sum(start >= ends[WARM_UP - 1] for start in outcome.starts)


def rates_of(runs: Sequence[Path]) -> dict[str, Any]:
    """Return the rates that the records of runs give, the median of each task's."""
    from gluetune.core.runs import Run

    training: dict[str, list[float]] = {}
    evaluation: dict[str, list[float]] = {}
    devices = set()
    for path in runs:
        record = Run(path).record
        if record.data is None or record.timing.examples_per_second is None:
            continue
        rows = sum(count for split, count in record.data.rows.items() if split != "train")
        seconds = record.timing.evaluation_seconds / len(record.epochs)
        training.setdefault(record.task, []).append(record.timing.examples_per_second)
        evaluation.setdefault(record.task, []).append(rows / seconds)
        if record.environment is not None:
            devices.add(record.environment.device)
    return {
        "device": ", ".join(sorted(devices)),
        "source": "the records of runs",
        "start": 10.0,
        "tasks": {
            task: {
                "training": round(statistics.median(training[task]), 1),
                "evaluation": round(statistics.median(evaluation[task]), 1),
                "measured": True,
            }
            for task in ROWS
            if task in training
        },
    }


def tables(rates: Mapping[str, Any]) -> str:
    """Return everything as Markdown."""
    suite = suite_jobs(rates)
    longest = max(suite, key=lambda job: job.seconds)
    total = sum(job.seconds for job in suite)
    lines = [
        "# How long a suite and a search would take",
        "",
        "    python benchmarks/scaling.py --write FILE",
        "",
        f"Device: {rates['device']}. Rates: {rates['source']}. All below the first table is "
        "simulated.",
        "",
        "| task | examples/s in training | in evaluation | | one job, 5 epochs |",
        "|---|---|---|---|---|",
        *(
            f"| {task} | {rate['training']:g} | {rate['evaluation']:g} "
            f"| {'measured' if rate['measured'] else 'from tokens/s'} "
            f"| {_time(job_seconds(rates, task))} |"
            for task, rate in rates["tasks"].items()
        ),
        "",
        f"## The suite: {len(suite)} jobs, {_time(total)} of one device, the longest "
        f"{_time(longest.seconds)} ({longest.name.split('-')[0]})",
        "",
        *_suite_table(suite),
        "",
        f"The same if a device were {FASTER} times as fast, which is a supposition:",
        "",
        *_suite_table([replace(job, seconds=job.seconds / FASTER) for job in suite]),
        "",
        f"## A search: {TRIALS} trials on MNLI, a tenth of train",
        "",
        "| devices | time | devices busy | trials whose sampler had learned |",
        "|---|---|---|---|",
        *(_search_row(search_jobs(rates, "mnli", 0.1), count) for count in DEVICES),
        "",
    ]
    return "\n".join(lines)


def _suite_table(jobs: Sequence[Job]) -> list[str]:
    return [
        "| devices | at best | longest first | submission order | 2% half as fast | with storage |",
        "|---|---|---|---|---|---|",
        *(_suite_row(jobs, count) for count in DEVICES),
    ]


def _suite_row(jobs: Sequence[Job], count: int) -> str:
    world = World(count)
    at_best = max(max(job.seconds for job in jobs), sum(job.seconds for job in jobs) / count)
    # A checkpoint of BERT-base (440 MB) on a storage of 1 GB/s.
    stored = simulate(jobs, replace(world, megabytes=440.0)).makespan
    slow = statistics.mean(
        simulate(jobs, replace(world, slow_share=0.02, seed=seed)).makespan for seed in range(20)
    )
    cells = [
        at_best,
        simulate(jobs, world).makespan,
        simulate(jobs, world, submission_order).makespan,
        slow,
        stored,
    ]
    return f"| {count} | {' | '.join(_time(cell) for cell in cells)} |"


def _search_row(jobs: Sequence[Job], count: int) -> str:
    found = simulate(jobs, World(count), submission_order)
    busy = found.busy / (found.makespan * count)
    return f"| {count} | {_time(found.makespan)} | {busy:.0%} | {informed(found)} of {len(jobs)} |"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate, and print or write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rates", type=Path, default=RATES, help="measured rates, as JSON")
    parser.add_argument("--write", type=Path, help="where the tables go; default: printed")
    parser.add_argument("--from-runs", type=Path, nargs="+", help="take rates from these runs")
    parser.add_argument("--write-rates", type=Path, help="where those rates go")
    given = parser.parse_args(arguments)
    if given.from_runs:
        rates = rates_of(given.from_runs)
        if given.write_rates:
            given.write_rates.write_text(json.dumps(rates, indent=2) + "\n", encoding="utf-8")
    else:
        rates = json.loads(given.rates.read_text(encoding="utf-8"))
    if missing := [task for task in ROWS if task not in rates["tasks"]]:
        sys.exit(f"There are no rates for {', '.join(missing)}.")
    text = tables(rates)
    if given.write:
        given.write.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
