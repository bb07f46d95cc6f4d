"""The processes that work on one training, and what they tell each other besides gradients.

Gradients go through torch's default group. All else goes through a gloo group of its own, whose
patience is long: one process may validate or write for an hour while the others wait. A process
that dies does not keep them waiting, because its connections close.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from gluetune.core import errors
from gluetune.core.errors import Finding, GluetuneError, ProcessLostError, TrainingError, merged

T = TypeVar("T")

_PATIENCE = timedelta(days=1)
_BROKEN = re.compile(r"gloo|nccl|connection (closed|reset|refused)|broken pipe", re.IGNORECASE)
_FAILURE = "gluetune/failure"


class Processes:
    """The processes of one training, as one of them sees them. With `count` 1 nothing is sent.

    Every method but `process_failure` must be called by all of them, in the same order.
    """

    def __init__(self, group: dist.ProcessGroup | None = None) -> None:
        self._group = group
        self.index = 0 if group is None else dist.get_rank(group)
        self.count = 1 if group is None else dist.get_world_size(group)

    @property
    def is_first(self) -> bool:
        """Whether this process names the folder, writes it, and talks."""
        return self.index == 0

    def gather(self, value: T) -> list[T]:
        """Return the value of every process, in their order, to all of them."""
        if self._group is None:
            return [value]
        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value, group=self._group)
        return values

    def largest(self, values: Sequence[int]) -> list[int]:
        """Return the largest of all processes' values, place by place: cheap enough for a step."""
        if self._group is None:
            return list(values)
        numbers = torch.tensor(values, dtype=torch.int64)
        dist.all_reduce(numbers, op=dist.ReduceOp.MAX, group=self._group)
        return [int(number) for number in numbers]

    def wait(self) -> None:
        """Return when every process has come here."""
        if self._group is not None:
            dist.barrier(group=self._group)

    def broadcast_from_main(self, step: Callable[[], T]) -> T:
        """Take the step in the first process alone; its result or its GluetuneError is all's."""
        if self._group is None:
            return step()
        outcome: list[Any] = [None, None]
        if self.is_first:
            try:
                outcome[0] = step()
            except GluetuneError as error:
                outcome[1] = error
        dist.broadcast_object_list(outcome, src=0, group=self._group)
        if outcome[1] is not None:
            raise self._as_heard(outcome[1])
        result: T = outcome[0]
        return result

    def gather_errors(self, step: Callable[[], T]) -> T:
        """Take the step in every process; what any of them finds wrong is raised in all of them."""
        if self._group is None:
            return step()
        found: tuple[str, GluetuneError] | None = None
        try:
            result = step()
        except GluetuneError as error:
            found = (socket.gethostname(), error)
        everyones = self.gather(found)
        if any(everyones):
            raise self._as_heard(_merged_of(everyones))
        return result

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Let one process of each machine pass before the others, to whom it leaves its cache."""
        leads = self._group is None or os.environ.get("LOCAL_RANK", "0") == "0"
        if not leads:
            self.wait()
        try:
            yield
        finally:
            if leads:
                self.wait()

    @contextmanager
    def propagate_failures(self) -> Iterator[None]:
        """Let one process tell of a failure that befell it alone; the others end with it, silent.

        Whoever fails first leaves word in the group's store. The others notice by their broken
        connections, find that word there, and raise it as told already.
        """
        try:
            yield
        except Exception as error:
            if self._group is None or (
                isinstance(error, GluetuneError) and error.reported_elsewhere is not None
            ):
                raise
            mine = self.process_failure(error)
            word = _leave_word(_describe(mine, self.index))
            if word["process"] == self.index:
                if isinstance(mine, GluetuneError):
                    mine.reported_elsewhere = False
                if mine is error:
                    raise
                raise mine from error
            raise _heard(word) from error

    def process_failure(self, error: Exception) -> Exception:
        """Return what happened to this process: a broken connection is the end of another one."""
        if isinstance(error, GluetuneError) or not _BROKEN.search(str(error)):
            return error
        return ProcessLostError(
            "Another process of the run exited unexpectedly: killed, or out of memory.",
            hint="Resume it with as many processes: torchrun … -m gluetune train --resume RUN",
        )

    def _as_heard(self, error: GluetuneError) -> GluetuneError:
        error.reported_elsewhere = not self.is_first
        return error


ALONE = Processes()
"""One process that shares its work with no other."""


def current_processes(*, use_cpu: bool = False, timeout: float = 1800.0) -> Processes:
    """Return the processes that this one was started with, by torchrun or the like, else ALONE.

    `timeout` is how many seconds gradients wait for each other, where the group is made here.
    Raises TrainingError where the others cannot be reached.
    """
    if not dist.is_available():
        return ALONE
    if not dist.is_initialized():
        if int(os.environ.get("WORLD_SIZE", "1")) == 1 or "RANK" not in os.environ:
            return ALONE
        _join(use_cpu=use_cpu, timeout=timeout)
    return ALONE if dist.get_world_size() == 1 else _of_group(dist.group.WORLD)


def _join(*, use_cpu: bool, timeout: float) -> None:
    on_gpu = torch.cuda.is_available() and not use_cpu
    if not on_gpu:
        # accelerate else overrules the number of threads that a configuration asks for.
        os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))
    backend = "cpu:gloo,cuda:nccl" if on_gpu else "gloo"
    try:
        dist.init_process_group(backend, timeout=timedelta(seconds=timeout))
    except (RuntimeError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise TrainingError(
            f"The processes of this training cannot reach each other: {first}",
            hint="Check --master-addr and --master-port, and GLOO_SOCKET_IFNAME.",
        ) from error


@cache
def _of_group(world: dist.ProcessGroup) -> Processes:
    """Make the group for everything but gradients, once for the life of `world`."""
    return Processes(dist.new_group(backend="gloo", timeout=_PATIENCE))


def _merged_of(found: Sequence[tuple[str, GluetuneError] | None]) -> GluetuneError:
    """Merge what the processes found; what not all of them found is said with its place."""
    said: list[GluetuneError] = []
    for process, one in enumerate(found):
        if one is None:
            continue
        host, error = one
        for finding in error.findings:
            everywhere = all(other and finding in other[1].findings for other in found)
            place = "" if everywhere else f" [process {process} on {host}]"
            placed = Finding(finding.message + place, finding.hint)
            said.append(type(error).of([placed]))
    return merged(said)


def _describe(error: Exception, process: int) -> dict[str, Any]:
    findings = [[f"Process {process} failed: {type(error).__name__}: {error}", ""]]
    if isinstance(error, GluetuneError):
        findings = [[finding.message, finding.hint] for finding in error.findings]
    return {"process": process, "kind": type(error).__name__, "findings": findings}


def _heard(word: dict[str, Any]) -> GluetuneError:
    kind = getattr(errors, word["kind"], TrainingError)
    error: GluetuneError = kind.of([Finding(*finding) for finding in word["findings"]])
    error.reported_elsewhere = True
    return error


def _leave_word(word: dict[str, Any]) -> dict[str, Any]:
    """Leave word of a failure for the other processes; return the first word that was left.

    torchrun itself keeps the store, so it outlives every process.
    """
    try:
        store = dist.distributed_c10d._get_default_store()  # torch names no other way to it
        first: dict[str, Any] = json.loads(store.compare_set(_FAILURE, "", json.dumps(word)))
    except RuntimeError:  # another launcher's store, gone with the process that kept it
        return word
    return first
