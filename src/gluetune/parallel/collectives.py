"""Collective operations of the processes of one run, other than the reduction of gradients.

Gradients use torch's default group. Everything else uses a gloo group of its own with a long
timeout: one process may validate or write for an hour while the others wait. They do not wait for
a process that dies, because its connections close.
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

_TIMEOUT = timedelta(days=1)
_BROKEN = re.compile(r"gloo|nccl|connection (closed|reset|refused)|broken pipe", re.IGNORECASE)
_FAILURE_KEY = "gluetune/failure"


class Processes:
    """The processes of one run, seen from one of them. With `count` 1 nothing is sent.

    All processes must call every method except `process_failure`, in the same order.
    """

    def __init__(self, group: dist.ProcessGroup | None = None) -> None:
        self._group = group
        self.index: int = 0 if group is None else dist.get_rank(group)
        self.count: int = 1 if group is None else dist.get_world_size(group)

    @property
    def is_first(self) -> bool:
        """Whether this is the main process, which writes the run folder and the output."""
        return self.index == 0

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes, by rank, in every process."""
        if self._group is None:
            return [value]
        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value, group=self._group)
        return values

    def largest(self, values: Sequence[int]) -> list[int]:
        """Return the elementwise maximum over all processes; cheap enough for every step."""
        if self._group is None:
            return list(values)
        numbers = torch.tensor(values, dtype=torch.int64)
        dist.all_reduce(numbers, op=dist.ReduceOp.MAX, group=self._group)
        return [int(number) for number in numbers]

    def wait(self) -> None:
        """Block until every process has called this."""
        if self._group is not None:
            dist.barrier(group=self._group)

    def broadcast_from_main(self, step: Callable[[], T]) -> T:
        """Run `step` in the main process; return its result, or raise its error, in all of them."""
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
            raise self._marked(outcome[1])
        result: T = outcome[0]
        return result

    def gather_errors(self, step: Callable[[], T]) -> T:
        """Run `step` in every process; raise the GluetuneErrors of any of them in all of them."""
        if self._group is None:
            return step()
        found: tuple[str, GluetuneError] | None = None
        try:
            result = step()
        except GluetuneError as error:
            found = (socket.gethostname(), error)
        errors_by_process = self.gather(found)
        if any(errors_by_process):
            raise self._marked(_merged_of(errors_by_process))
        return result

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Run the block first in one process per machine, so that the others find its cache."""
        is_local_main = self._group is None or os.environ.get("LOCAL_RANK", "0") == "0"
        if not is_local_main:
            self.wait()
        try:
            yield
        finally:
            if is_local_main:
                self.wait()

    @contextmanager
    def propagate_failures(self) -> Iterator[None]:
        """Stop all processes when one fails; only the one that failed first reports the error.

        It writes its failure to the group's store. The others notice that their connections are
        broken, read the failure there, and raise it marked as reported elsewhere.
        """
        try:
            yield
        except Exception as error:
            if self._group is None or (
                isinstance(error, GluetuneError) and error.reported_elsewhere is not None
            ):
                raise
            failure = self.process_failure(error)
            first = _first_failure(_describe(failure, self.index))
            if first["process"] == self.index:
                if isinstance(failure, GluetuneError):
                    failure.reported_elsewhere = False
                if failure is error:
                    raise
                raise failure from error
            raise _error_of(first) from error

    def process_failure(self, error: Exception) -> Exception:
        """Return `error`, or a ProcessLostError where it is a broken connection to a process."""
        if isinstance(error, GluetuneError) or not _BROKEN.search(str(error)):
            return error
        return ProcessLostError(
            "Another process of the run exited unexpectedly: killed, or out of memory.",
            hint="Resume it with as many processes: torchrun … -m gluetune train --resume RUN",
        )

    def _marked(self, error: GluetuneError) -> GluetuneError:
        error.reported_elsewhere = not self.is_first
        return error


ALONE = Processes()
"""A single process."""


def current_processes(*, use_cpu: bool = False, timeout: float = 1800.0) -> Processes:
    """Return the processes that torchrun or a similar launcher started, else ALONE.

    Args:
        use_cpu: Whether to train on the CPU where there is a GPU.
        timeout: Seconds that the reduction of gradients may wait, where the group is created here.

    Raises:
        TrainingError: where the other processes cannot be reached.
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
        # Otherwise accelerate overrides the number of threads in the configuration.
        os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))
    backend = "cpu:gloo,cuda:nccl" if on_gpu else "gloo"
    try:
        dist.init_process_group(backend, timeout=timedelta(seconds=timeout))
    except (RuntimeError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise TrainingError(
            f"The processes of this run cannot reach each other: {first}",
            hint="Check --master-addr and --master-port, and GLOO_SOCKET_IFNAME.",
        ) from error


@cache
def _of_group(world: dist.ProcessGroup) -> Processes:
    """Create the group for everything but gradients, once per default group."""
    return Processes(dist.new_group(backend="gloo", timeout=_TIMEOUT))


def _merged_of(found: Sequence[tuple[str, GluetuneError] | None]) -> GluetuneError:
    """Merge the errors of the processes; a finding that not all have names its process."""
    errors_found: list[GluetuneError] = []
    for process, one in enumerate(found):
        if one is None:
            continue
        host, error = one
        for finding in error.findings:
            everywhere = all(other and finding in other[1].findings for other in found)
            place = "" if everywhere else f" [process {process} on {host}]"
            placed = Finding(finding.message + place, finding.hint)
            errors_found.append(type(error).of([placed]))
    return merged(errors_found)


def _describe(error: Exception, process: int) -> dict[str, Any]:
    findings = [[f"Process {process} failed: {type(error).__name__}: {error}", ""]]
    if isinstance(error, GluetuneError):
        findings = [[finding.message, finding.hint] for finding in error.findings]
    return {"process": process, "kind": type(error).__name__, "findings": findings}


def _error_of(failure: dict[str, Any]) -> GluetuneError:
    kind = getattr(errors, failure["kind"], TrainingError)
    error: GluetuneError = kind.of([Finding(*finding) for finding in failure["findings"]])
    error.reported_elsewhere = True
    return error


def _first_failure(failure: dict[str, Any]) -> dict[str, Any]:
    """Write a failure to the group's store unless it has one; return the one that it then has.

    torchrun itself hosts the store, so the store is there after the processes have exited.
    """
    try:
        store = dist.distributed_c10d._get_default_store()  # torch has no public function for it
        first: dict[str, Any] = json.loads(store.compare_set(_FAILURE_KEY, "", json.dumps(failure)))
    except RuntimeError:  # another launcher's store, which was in the process that exited
        return failure
    return first
