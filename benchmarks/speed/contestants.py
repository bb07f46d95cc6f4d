"""Who is timed: gluetune and its peers, and who sits out on this machine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Padding = Literal["longest", "max_length"]
Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """One way of doing the same steps."""

    name: str
    what: str
    """In words, for the report."""
    trainer: Literal["transformers", "gluetune"]
    precision: Precision | Literal["auto"] = "fp32"
    padding: Padding = "longest"
    only_with_bf16: bool = False
    """Sits out where the hardware does not multiply bf16 natively."""

    def resolved_precision(self, native_bf16: bool) -> Precision:
        """Return what `auto` means on this machine."""
        if self.precision == "auto":
            return "bf16" if native_bf16 else "fp32"
        return self.precision


CONTESTANTS = (
    Contestant(
        name="notebook",
        what="plain Trainer, fp32, batches padded to their longest (the notebook)",
        trainer="transformers",
    ),
    Contestant(
        name="run_glue",
        what="plain Trainer, fp32, every example padded to 128 (run_glue.py's default)",
        trainer="transformers",
        padding="max_length",
    ),
    Contestant(
        name="trainer-bf16",
        what="plain Trainer, bf16=True, batches padded to their longest",
        trainer="transformers",
        precision="bf16",
        only_with_bf16=True,
    ),
    Contestant(
        name="gluetune",
        what="gluetune.Trainer as it comes, precision auto",
        trainer="gluetune",
        precision="auto",
    ),
    Contestant(
        name="gluetune-fp32",
        what="gluetune.Trainer, fp32",
        trainer="gluetune",
        only_with_bf16=True,
    ),
)
NAMES = tuple(contestant.name for contestant in CONTESTANTS)
_BY_NAME = {contestant.name: contestant for contestant in CONTESTANTS}


def choose(names: Iterable[str], *, native_bf16: bool) -> tuple[list[Contestant], list[str]]:
    """Return the contestants that can run here, and a line for each that sits out."""
    asked = [_BY_NAME[name] for name in dict.fromkeys(names)]
    able = [one for one in asked if native_bf16 or not one.only_with_bf16]
    skipped = [
        f"{one.name} is left out: this device does not multiply bf16 natively."
        for one in asked
        if one not in able
    ]
    return able, skipped
