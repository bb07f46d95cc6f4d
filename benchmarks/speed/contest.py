"""The contest: cases are prepared once, then contestants have their turns, round by round."""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.speed.contestants import Contestant, choose
from benchmarks.speed.options import switches
from benchmarks.speed.turns import Measurement, Turn, WorkerError, measure, run_worker


@dataclass(frozen=True)
class Case:
    """A task on a checkpoint: a line of the summary."""

    name: str
    task: str
    checkpoint: str
    prepared: str
    rows: Mapping[str, int]
    """Of the whole data, by split: `train` and `validation`."""


@dataclass
class Contest:
    """All settings and measurements; it grows as turns are taken."""

    options: argparse.Namespace
    folder: Path
    machine: dict[str, Any]
    contestants: list[Contestant]
    notes: list[str]
    data: str = ""
    cases: list[Case] = field(default_factory=list)
    turns: list[Measurement] = field(default_factory=list)
    gemm: dict[str, list[float]] = field(default_factory=dict)
    failed: set[tuple[str, str]] = field(default_factory=set)
    """Case and contestant, which has no more turns there."""

    @property
    def rates(self) -> dict[str, float]:
        """GEMM rates in FLOP/s, by precision: the median of the rounds."""
        return {name: statistics.median(values) for name, values in self.gemm.items()}

    def take_turns(self) -> None:
        """Measure every round; in each, another contestant begins."""
        for number in range(self.options.rounds):
            for name, rate in (self._machine() if number else self.machine)["gemm"].items():
                self.gemm.setdefault(name, []).append(rate)
            for case in self.cases:
                for contestant in rotated(self.contestants, number):
                    if (case.name, contestant.name) not in self.failed:
                        self._take_turn(number, case, contestant)

    def _take_turn(self, number: int, case: Case, contestant: Contestant) -> None:
        options = self.options
        turn = Turn(
            case=case.name,
            round=number,
            contestant=contestant.name,
            trainer=contestant.trainer,
            precision=contestant.resolved_precision(self.machine["native_bf16"]),
            padding=contestant.padding,
            task=case.task,
            checkpoint=case.checkpoint,
            prepared=case.prepared,
            steps=options.steps,
            warmup=options.warmup,
            batch_size=options.batch_size,
            eval_batch_size=options.eval_batch_size,
            eval_examples=options.eval_examples,
            dropout=not options.no_dropout,
            switches=switches(options) if contestant.trainer == "gluetune" else {},
        )
        try:
            found = measure(turn, folder=self.folder, threads=options.threads)
        except WorkerError as error:
            self.failed.add((case.name, contestant.name))
            self.notes.append(f"{case.name}: {contestant.name} failed: {_last_line(error)}.")
            say(str(error))
            return
        self.turns.append(found)
        say(
            f"round {number + 1} of {options.rounds}, {case.name}, {contestant.name}: "
            f"{1000 * found.training.seconds / options.steps:.1f} ms/step, "
            f"{found.evaluations[''].seconds:.2f} s for the evaluation"
        )

    def _machine(self) -> dict[str, Any]:
        return run_worker("machine", {}, folder=self.folder, threads=self.options.threads)


def prepare_contest(options: argparse.Namespace, folder: Path) -> Contest:
    """Look at the machine and prepare every case in `folder`. Raises WorkerError."""
    machine = run_worker("machine", {}, folder=folder, threads=options.threads)
    contestants, skipped = choose(options.contestants, native_bf16=machine["native_bf16"])
    contest = Contest(options, folder, machine, contestants, skipped)
    facts = []
    for name, task, checkpoint, cut in _wanted(options, folder):
        prepared = folder / name.replace(" ", "-")
        say(f"encoding {name}")
        request = {
            "task": task,
            "checkpoint": checkpoint,
            "data": options.data,
            "folder": str(prepared),
            "paddings": sorted({contestant.padding for contestant in contestants}),
            "cut": cut,
        }
        found = run_worker("prepare", request, folder=folder, threads=options.threads)
        contest.cases.append(
            Case(name, task, found["checkpoint"], str(prepared), rows=found["rows"])
        )
        facts.append(found)
    contest.data = described_data(facts)
    return contest


def _wanted(
    options: argparse.Namespace, folder: Path
) -> Iterator[tuple[str, str, str | None, int | None]]:
    """Yield name, task, checkpoint and longest example of every case."""
    if options.architectures is None:
        for task in options.tasks:
            yield task, task, options.model, None
        return
    request = {"names": options.architectures, "folder": str(folder / "checkpoints")}
    written = run_worker("checkpoints", request, folder=folder, threads=options.threads)
    for architecture, checkpoint in written["checkpoints"].items():
        for task in options.tasks:
            name = architecture if len(options.tasks) == 1 else f"{architecture} {task}"
            yield name, task, checkpoint, written["longest"]


def described_data(facts: list[dict[str, Any]]) -> str:
    """Describe the data from what `prepare` found, without their place."""
    source = facts[0]["source"]
    if source == "sample":
        return "`sample`, which gluetune wrote: its texts are not GLUE's"
    where = source if source == "nyu-mll/glue" else "a folder"
    if all(fact["official"] for fact in facts):
        return f"GLUE, from {where} (training sets of the official size)"
    return f"{where}, whose training sets are not of GLUE's size"


def rotated(contestants: list[Contestant], by: int) -> list[Contestant]:
    """Return the contestants with another one first: nobody always follows the same."""
    start = by % len(contestants)
    return contestants[start:] + contestants[:start]


def say(line: str) -> None:
    """Report the progress."""
    print(line, file=sys.stderr, flush=True)


def _last_line(error: WorkerError) -> str:
    return str(error).strip().splitlines()[-1].strip().rstrip(".")
