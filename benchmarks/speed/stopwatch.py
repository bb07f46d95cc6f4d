"""Time, memory and losses of a run, measured without slowing it."""

from __future__ import annotations

import re
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

_STATUS = Path("/proc/self/status")
_FORGET_PEAK = "5"
"""What clears a process's peak memory, written to its /proc/self/clear_refs."""


class Stopwatch(TrainerCallback):
    """Times the steps after the first `warmup`; an accelerator is waited for only at both ends."""

    def __init__(self, warmup: int) -> None:
        self._warmup = warmup
        self.first = self.start = self.end = 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Note when the first step began."""
        if state.global_step == 0:
            self.first = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Note when the warm-up ended, and when the last step did."""
        if state.global_step == self._warmup:
            synchronise(args.device)
            self.start = time.perf_counter()
        elif state.global_step == state.max_steps:
            synchronise(args.device)
            self.end = time.perf_counter()


def synchronise(device: torch.device) -> None:
    """Wait for what the device still has to do."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def catch_losses(trainer: Any) -> list[torch.Tensor]:
    """Return a list that every step will add its loss to, unread."""
    losses: list[torch.Tensor] = []
    original = trainer.training_step

    def training_step(*args: Any, **kwargs: Any) -> Any:
        loss = original(*args, **kwargs)
        losses.append(loss.detach().clone())
        return loss

    trainer.training_step = training_step
    return losses


def forget_peak(device: torch.device) -> None:
    """Let the peak start again from what is in use now, where the system can do that."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with suppress(OSError):  # not on Linux, or not allowed: the peak is the process's then
            Path("/proc/self/clear_refs").write_text(_FORGET_PEAK, encoding="utf-8")


def peak_bytes(device: torch.device) -> int:
    """Return the peak of memory in use: the accelerator's, or the process's."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if _STATUS.exists():
        found = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text(encoding="utf-8"))
        if found:
            return int(found[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
