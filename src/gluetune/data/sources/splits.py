"""What a source says when it is asked for a split that it does not have."""

from __future__ import annotations

from collections.abc import Sequence

from gluetune.core.command_lines import command_line
from gluetune.core.errors import DataError
from gluetune.core.tasks import TaskSpec
from gluetune.core.text import nearest


def require_split(task: TaskSpec, split: str, available: Sequence[str], *, place: str) -> None:
    """Raise DataError unless `split` is among the `available` ones of `place`."""
    if split not in available:
        raise missing_split(task, split, available, place=place)


def missing_split(task: TaskSpec, split: str, available: Sequence[str], *, place: str) -> DataError:
    """Return the error that says which splits there are, and what to type instead."""
    listed = ", ".join(available) or "none"
    if split == "train" and task.train_split is None:
        return DataError(
            f"'{task.name}' has no training split. Its splits in {place}: {listed}.",
            hint=f"A model of '{task.trained_as}' answers it: "
            + command_line("train", task.trained_as),
        )
    return DataError(
        f"'{task.name}' has no split '{split}' in {place}. Splits there: {listed}.",
        hint=nearest(split, available).rstrip() or _elsewhere(task, split, available),
    )


def _elsewhere(task: TaskSpec, split: str, available: Sequence[str]) -> str:
    if split in task.splits:
        return "Take the data from somewhere else: --data sample, or --data DIR."
    if not available:
        return f"Splits: {', '.join(task.splits)}."
    # Train is scored too, where it is asked for: nobody means it by another name.
    likely = [name for name in available if name in task.validation_splits] or available
    return f"Type: --split {likely[0]}"
