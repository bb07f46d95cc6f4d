"""Processes that each run one call at a time: what a suite and a search share.

`open_workers(1)` runs calls in this process, with no second import of torch; `open_workers(n)` in
n spawned ones. Which call comes next is the caller's to decide, whenever a worker is free:

```
with open_workers(2) as workers:
    while waiting or workers.running:
        while waiting and workers.free:
            workers.start(key, function, *arguments)
        outcome = workers.wait()
```
A process that dies costs its own call and is replaced. Ctrl-C reaches every call once, through
this process alone: the spawned ones stand in groups of their own, where a terminal's Ctrl-C does
not come. When this process dies, they are asked to stop as by SIGTERM.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gluetune.parallel.calls import Call, OnTold, Outcome, telling
from gluetune.parallel.processes import Processes
from gluetune.parallel.signals import exiting_on_sigterm

if TYPE_CHECKING:
    from gluetune.parallel.ray import Cluster

if TYPE_CHECKING:
    from gluetune.parallel.ray import Cluster


class Workers(Protocol):
    """Who runs calls. A cluster's workers have these names too."""

    @property
    def free(self) -> int:
        """How many more calls can be started now."""

    @property
    def running(self) -> tuple[Hashable, ...]:
        """Keys of the calls that were started and whose outcome was not handed out yet."""

    def start(self, key: Hashable, function: Callable[..., Any], *arguments: Any) -> None:
        """Start a call while a worker is free; `key` names it. All must be picklable."""

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """Return the next call that is over; None after `timeout` seconds without one."""


@contextmanager
def open_workers(
    count: int,
    *,
    threads: int | None = None,
    devices: Sequence[str] = (),
    on_told: OnTold | None = None,
    cluster: Cluster | None = None,
    restarts: int = 0,
    folder: Path | None = None,
) -> Iterator[Workers]:
    """Give `count` workers, one of which is this process where it is the only one.

    Args:
        count: How many calls run at a time.
        threads: What OMP_NUM_THREADS says in each spawned process; None: its share of the cores.
            A call that sets PyTorch's threads itself, as `train(threads=…)` does, has its way.
        devices: What CUDA_VISIBLE_DEVICES says in each process, in turn; none: all see all.
        on_told: Called with what calls `gluetune.parallel.calls.tell`.
        cluster: Where calls run instead: as many at a time as it has room for, and where `count`
            is more than one at most so many. `threads` and `devices` are then the cluster's.
        restarts: How often a cluster's call whose worker died is started again.
        folder: Where spawned processes register, for `orphans.end_orphans` to find them there.

    Whatever ends the block (SIGTERM too), calls that still run are asked to stop as by Ctrl-C and
    waited for; a second Ctrl-C kills them.
    """
    if cluster is not None:
        from gluetune.parallel.ray import open_ray_workers

        limit = count if count > 1 else None
        with open_ray_workers(cluster, limit, restarts=restarts, on_told=on_told) as there:
            yield there
        return
    if count == 1:
        yield _Here(on_told)
        return
    environments = [
        {
            "OMP_NUM_THREADS": str(threads or threads_each(count)),
            **({"CUDA_VISIBLE_DEVICES": devices[slot % len(devices)]} if devices else {}),
        }
        for slot in range(count)
    ]
    processes = Processes(environments, on_told, folder)
    with exiting_on_sigterm():
        try:
            yield processes
        finally:
            processes.stop()


def threads_each(count: int) -> int:
    """Return each of `count` processes' share of the cores that this one may use, at least 1."""
    return max(1, cores() // count)


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Here:
    """This process as the only worker: a call runs while it is waited for."""

    def __init__(self, on_told: OnTold | None) -> None:
        self._on_told = on_told
        self._call: Call | None = None

    @property
    def free(self) -> int:
        return 0 if self._call else 1

    @property
    def running(self) -> tuple[Hashable, ...]:
        return (self._call.key,) if self._call else ()

    def start(self, key: Hashable, function: Callable[..., Any], *arguments: Any) -> None:
        if self._call:
            raise RuntimeError(f"No worker is free for {key!r}.")
        self._call = Call(key, function, arguments)

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """Run the call. `timeout` is not looked at: nothing else could be done meanwhile."""
        call = self._call
        if call is None:
            return None
        told = self._on_told
        try:
            with telling(None if told is None else lambda value: told(call.key, value)):
                return call.outcome()
        finally:
            self._call = None
