"""A pool of a Ray cluster's workers, which run calls as the processes of `pool.py` do.

A call is a Ray task with cores (and GPUs) of its own. Whatever it needs is in folders that every
machine sees; data and model are loaded where it runs. A task whose worker is killed is lost to Ray,
and nothing else is: the run's folder holds its checkpoint, from which the next attempt resumes.

A Ray cluster: what a job may take of it, and how it is reached.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gluetune.core.errors import ConfigurationError, Finding, LockedError
from gluetune.parallel.calls import Call, Failure, OnValue, Outcome, emitting_to

_LOOK_SECONDS = 0.5
_STOP_SECONDS = 120.0
"""How long workers may take to save their state."""
_HELD_SECONDS = 120.0
"""How long a run's folder may be locked by an attempt that Ray reports as ended before it is."""


@contextmanager
def open_ray_pool(
    cluster: Cluster, limit: int | None = None, *, restarts: int, on_event: OnValue | None = None
) -> Iterator[RayPool]:
    """Give a pool of the cluster's workers: as many as it has room for, and at most `limit`.

    A call whose worker dies is started again, up to `restarts` times. Whatever ends the block,
    calls that still run are stopped as by Ctrl-C and waited for; a second one kills them.
    Raises ConfigurationError where the cluster cannot be reached.
    """
    pool = RayPool(connect(cluster), cluster, limit, restarts, on_event)
    try:
        yield pool
    finally:
        pool.stop()


@dataclass
class _Running:
    call: Call
    restarts: int


class RayPool:
    """Pool of a cluster that this process is connected to."""

    def __init__(
        self, ray: Any, cluster: Cluster, limit: int | None, restarts: int, on_event: OnValue | None
    ) -> None:
        self._ray = ray
        self._cluster = cluster
        self._limit = limit
        self._restarts = restarts
        self._on_event = on_event
        self._task = ray.remote(_run).options(
            num_cpus=cluster.cpus, num_gpus=cluster.gpus, max_retries=0
        )
        self._queue = _make_queue() if on_event is not None else None
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

    def submit(self, key: Hashable, function: Callable[..., Any], *arguments: Any) -> None:
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
        """Stop every call, as by Ctrl-C, and wait until it has saved its state."""
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
        if self._queue is None or self._on_event is None:
            return
        for key, value in self._queue.get_nowait_batch(self._queue.qsize()):
            self._on_event(key, value)

    def _cancel(self, *, force: bool) -> None:
        for reference in self._running:
            with suppress(ValueError):  # it is over
                self._ray.cancel(reference, force=force)


def _make_queue() -> Any:
    from ray.util.queue import Queue

    return Queue(actor_options={"num_cpus": 0})


def _run(call: Call, folder: str, queue: Any) -> Outcome:
    """Run a call in a worker. Relative paths are those of the process that submitted it."""
    with suppress(OSError):
        os.chdir(folder)

    def emit(value: Any) -> None:
        # Sent, and not waited for: whoever listens does not hold up training.
        queue.actor.put_nowait.remote((call.key, value))

    end = time.monotonic() + _HELD_SECONDS
    try:
        with emitting_to(None if queue is None else emit):
            while True:
                outcome = call.outcome()
                if not _is_locked(outcome) or time.monotonic() > end:
                    return outcome
                time.sleep(0.5)
    except (KeyboardInterrupt, SystemExit) as error:
        failure = Failure("interrupted", type(error).__name__, (Finding("It was stopped."),))
        return Outcome(call.key, failure=failure)


def _is_locked(outcome: Outcome) -> bool:
    failure = outcome.failure
    return failure is not None and failure.type == LockedError.__name__


_PASSED_ON = ("GLUETUNE_DATA", "GLUETUNE_CACHE", "HF_HOME", "HF_ENDPOINT", "HF_HUB_OFFLINE")
"""Variables that workers get of this process's environment; HF_TOKEN is their machines' own."""
_SECONDS = 5.0
"""How long an address may be silent."""


@dataclass(frozen=True)
class Cluster:
    """Where the cluster is, and what it gives to each job."""

    address: str
    """`auto` for the one of this machine, `HOST:PORT`, or `local` to start one."""
    cpus: float = 1.0
    gpus: float = 0.0

    @property
    def threads(self) -> int:
        """How many threads a job's cores are worth."""
        return max(1, int(self.cpus))


def make_cluster(
    address: str | None, cpus: Any = None, gpus: Any = None, *, each: str = "trial"
) -> Cluster | None:
    """Return the requested cluster; None without an address. `each` says what has cores.

    Raises ConfigurationError that lists every mistake.
    """
    findings = []
    numbers = {}
    for name, given, default in (("cpus", cpus, 1.0), ("gpus", gpus, 0.0)):
        numbers[name] = default
        if given is None:
            continue
        flag = f"--{name}-per-{each}"
        if address is None:
            findings.append(Finding(f"{flag} {given} is for a cluster.", "Type: --ray auto"))
        try:
            numbers[name] = float(given)
        except ValueError:
            numbers[name] = -1.0
        if numbers[name] < 0 or (name == "cpus" and not numbers[name]):
            findings.append(Finding(f"{flag} {given}: this is no amount.", f"Type: {flag} 1"))
    if findings:
        raise ConfigurationError.of(findings)
    return None if address is None else Cluster(address, **numbers)


def connect(cluster: Cluster) -> Any:
    """Connect this process to the cluster, unless it is connected; return ray.

    Raises ConfigurationError where Ray is not installed, or the cluster cannot be reached.
    """
    # A cluster of other people's is no business of Ray's makers, unless they say so.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise ConfigurationError(
            f"--ray {cluster.address} needs Ray, which is not installed.",
            hint="Type: pip install 'gluetune[ray]'",
        ) from error
    _check_reachable(cluster.address)
    if not ray.is_initialized():
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        try:
            ray.init(
                address=cluster.address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                include_dashboard=False if cluster.address == "local" else None,
                runtime_env={"env_vars": passed_on} if passed_on else None,
            )
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise _unreachable(cluster.address, str(error)) from error
    _check_room(cluster, ray.cluster_resources())
    return ray


def capacity(cluster: Cluster, resources: dict[str, float]) -> int:
    """Return how many jobs at a time `resources`, by Ray's names, are enough for."""
    counts = [resources.get("CPU", 0.0) / cluster.cpus]
    if cluster.gpus:
        counts.append(resources.get("GPU", 0.0) / cluster.gpus)
    return int(min(counts) + 1e-9)


def _check_room(cluster: Cluster, resources: dict[str, float]) -> None:
    if capacity(cluster, resources) < 1:
        there = ", ".join(f"{resources.get(name, 0):g} {name}" for name in ("CPU", "GPU"))
        raise ConfigurationError(
            f"A job asks for {cluster.cpus:g} CPU and {cluster.gpus:g} GPU, and the whole cluster "
            f"has {there}.",
            hint="Ask for less, or add machines.",
        )


def _check_reachable(address: str) -> None:
    """Knock first: Ray itself tries for a minute and more, and ends in many lines."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if address in ("auto", "local"):
        return
    if not colon or not port.isdigit():
        raise ConfigurationError(
            f"--ray {address}: this is no address.", hint="Type: --ray auto, or --ray HOST:6379"
        )
    try:
        with contextlib.closing(socket.create_connection((host.strip("[]"), int(port)), _SECONDS)):
            return
    except OSError as error:
        raise _unreachable(address, error.strerror or str(error)) from error


def _unreachable(address: str, why: str) -> ConfigurationError:
    first = why.strip().splitlines()[0] if why.strip() else "no reply"
    return ConfigurationError(
        f"--ray {address}: the cluster cannot be reached: {first}",
        hint="On its first machine: ray start --head. On others: ray start --address HOST:6379. "
        "Then: --ray auto there, or --ray HOST:6379",
    )
