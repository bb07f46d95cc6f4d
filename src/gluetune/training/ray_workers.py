"""A Ray cluster's workers, which run calls as processes of this machine do: see `workers.py`.

A call is a Ray task with cores (and GPUs) of its own. Whatever it needs lies in folders that every
machine sees; data and model are loaded where it runs. A task whose worker is killed is lost to Ray,
and nothing else is: the run's folder holds its checkpoint, from which the next attempt goes on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gluetune.errors import Finding
from gluetune.training.calls import Call, Failure, OnTold, Outcome, telling
from gluetune.training.cluster import Cluster, capacity, connect

_LOOK_SECONDS = 0.5
_STOP_SECONDS = 120.0
"""How long workers may take to save what they do."""
_HELD_SECONDS = 120.0
"""How long a run's folder may be held by an attempt whose end Ray has told before it has come."""
_HELD = "Another process"


@contextmanager
def open_ray_workers(
    cluster: Cluster, limit: int | None = None, *, restarts: int, on_told: OnTold | None = None
) -> Iterator[RayWorkers]:
    """Give the cluster's workers: as many at a time as it has room for, and at most `limit`.

    A call whose worker dies is started again, up to `restarts` times. Whatever ends the block,
    calls that still run are asked to stop as by Ctrl-C and waited for; a second one kills them.
    Raises ConfigurationError where the cluster cannot be reached.
    """
    workers = RayWorkers(connect(cluster), cluster, limit, restarts, on_told)
    try:
        yield workers
    finally:
        workers.stop()


@dataclass
class _Running:
    call: Call
    restarts: int


class RayWorkers:
    """Workers of a cluster that this process is connected to."""

    def __init__(
        self, ray: Any, cluster: Cluster, limit: int | None, restarts: int, on_told: OnTold | None
    ) -> None:
        self._ray = ray
        self._cluster = cluster
        self._limit = limit
        self._restarts = restarts
        self._on_told = on_told
        self._task = ray.remote(_run).options(
            num_cpus=cluster.cpus, num_gpus=cluster.gpus, max_retries=0
        )
        self._queue = _make_queue() if on_told is not None else None
        self._running: dict[Any, _Running] = {}

    @property
    def count(self) -> int:
        """How many calls run at a time; a cluster may grow."""
        room = max(1, capacity(self._cluster, self._ray.cluster_resources()))
        return room if self._limit is None else min(room, self._limit)

    @property
    def free(self) -> int:
        """How many more calls can be started now."""
        return self.count - len(self._running)

    @property
    def running(self) -> tuple[Hashable, ...]:
        """Keys of the calls whose outcome was not handed out yet."""
        return tuple(running.call.key for running in self._running.values())

    def start(self, key: Hashable, function: Callable[..., Any], *arguments: Any) -> None:
        """Start a call while there is room for it."""
        self._submit(_Running(Call(key, function, arguments), self._restarts))

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """Return the next call that is over; None after `timeout` seconds without one."""
        end = None if timeout is None else time.monotonic() + timeout
        while self._running:
            left = _LOOK_SECONDS if end is None else min(_LOOK_SECONDS, end - time.monotonic())
            over, _ = self._ray.wait(list(self._running), num_returns=1, timeout=max(0.0, left))
            self._pass_on()
            if over and (outcome := self._outcome(over[0])):
                return outcome
            if end is not None and time.monotonic() >= end:
                return None
        return None

    def stop(self) -> None:
        """Ask every call to stop, as by Ctrl-C, and wait until it has saved its state."""
        try:
            self._cancel(force=False)
            if waiting := list(self._running):
                self._ray.wait(waiting, num_returns=len(waiting), timeout=_STOP_SECONDS)
        finally:
            self._cancel(force=True)
            self._running.clear()
            if self._queue is not None:
                self._queue.shutdown(force=True)

    def _submit(self, running: _Running) -> None:
        reference = self._task.remote(running.call, str(Path.cwd()), self._queue)
        self._running[reference] = running

    def _outcome(self, reference: Any) -> Outcome | None:
        """Return what came of a task; None where its worker died and it is started again."""
        from ray.exceptions import RayError, RayTaskError

        running = self._running.pop(reference)
        try:
            outcome: Outcome = self._ray.get(reference)
        except RayTaskError as error:  # it could not be unpickled there, for one
            failure = Failure("raised", type(error.cause).__name__, (Finding(str(error.cause)),))
        except RayError as error:
            first = str(error).strip().splitlines()[0]
            failure = Failure("died", type(error).__name__, (Finding(f"Its worker died: {first}"),))
        else:
            return outcome
        if failure.kind == "died" and running.restarts:
            self._submit(_Running(running.call, running.restarts - 1))
            return None
        return Outcome(running.call.key, failure=failure)

    def _pass_on(self) -> None:
        if self._queue is None or self._on_told is None:
            return
        for key, value in self._queue.get_nowait_batch(self._queue.qsize()):
            self._on_told(key, value)

    def _cancel(self, *, force: bool) -> None:
        for reference in self._running:
            with suppress(ValueError):  # it is over
                self._ray.cancel(reference, force=force)


def _make_queue() -> Any:
    from ray.util.queue import Queue

    return Queue(actor_options={"num_cpus": 0})


def _run(call: Call, folder: str, queue: Any) -> Outcome:
    """Run a call: what a worker does. Relative paths mean what they mean to whoever asked."""
    with suppress(OSError):
        os.chdir(folder)

    def told(value: Any) -> None:
        # Sent, and not waited for: a training is not kept by whoever listens.
        queue.actor.put_nowait.remote((call.key, value))

    end = time.monotonic() + _HELD_SECONDS
    try:
        with telling(None if queue is None else told):
            while True:
                outcome = call.outcome()
                if not _is_held(outcome) or time.monotonic() > end:
                    return outcome
                time.sleep(0.5)
    except (KeyboardInterrupt, SystemExit) as error:
        failure = Failure("interrupted", type(error).__name__, (Finding("It was asked to stop."),))
        return Outcome(call.key, failure=failure)


def _is_held(outcome: Outcome) -> bool:
    failure = outcome.failure
    return bool(failure and failure.type == "RunError" and failure.message.startswith(_HELD))
