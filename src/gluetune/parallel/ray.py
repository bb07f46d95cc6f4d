"""A Ray cluster, and a pool of its workers, which run calls as the processes of `pool.py` do.

A call is a Ray task with cores (and GPUs) of its own. It reads and writes folders that all machines
share; data and model are loaded where it runs. When its worker is killed, the next attempt resumes
from the checkpoint in the run's folder.
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
from gluetune.parallel.pool import Call, Failure, OnValue, Outcome, emitting_to

_POLL_SECONDS = 0.5
_STOP_SECONDS = 120.0
"""How long workers may take to save their state."""
_LOCKED_SECONDS = 120.0
"""How long an attempt that Ray reports as ended may still lock the run's folder."""


@dataclass
class _Running:
    call: Call
    restarts: int


class RayPool:
    """A pool of the workers of a cluster that this process is connected to."""

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
        """How many calls can run in parallel now; a cluster may grow."""
        fitting = max(1, capacity(self._cluster, self._ray.cluster_resources()))
        return fitting if self._limit is None else min(fitting, self._limit)

    @property
    def free(self) -> int:
        """How many more calls can be started now."""
        return self.count - len(self._running)

    @property
    def running(self) -> tuple[Hashable, ...]:
        """Keys of the calls whose outcome has not been returned yet."""
        return tuple(running.call.key for running in self._running.values())

    def submit(self, key: Hashable, function: Callable[..., Any], *arguments: Any) -> None:
        """Start a call on a free worker."""
        self._submit(_Running(Call(key, function, arguments), self._restarts))

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """Return the outcome of the next call that ends; None after `timeout` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while self._running:
            left = _POLL_SECONDS if end is None else min(_POLL_SECONDS, end - time.monotonic())
            ended, _ = self._ray.wait(list(self._running), num_returns=1, timeout=max(0.0, left))
            self._forward_events()
            if ended and (outcome := self._outcome(ended[0])):
                return outcome
            if end is not None and time.monotonic() >= end:
                return None
        return None

    def stop(self) -> None:
        """Stop every call as by Ctrl-C, and wait until it has saved its state."""
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
        """Return the outcome of a task; None where its worker died and it is restarted."""
        from ray.exceptions import RayError, RayTaskError

        running = self._running.pop(reference)
        try:
            outcome: Outcome = self._ray.get(reference)
        except RayTaskError as error:  # for example, the worker could not unpickle it
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

    def _forward_events(self) -> None:
        if self._queue is None or self._on_event is None:
            return
        for key, value in self._queue.get_nowait_batch(self._queue.qsize()):
            self._on_event(key, value)

    def _cancel(self, *, force: bool) -> None:
        for reference in self._running:
            with suppress(ValueError):  # it has ended
                self._ray.cancel(reference, force=force)


def _make_queue() -> Any:
    from ray.util.queue import Queue

    return Queue(actor_options={"num_cpus": 0})


def _run(call: Call, folder: str, queue: Any) -> Outcome:
    """Run a call in a worker. Relative paths are resolved as in the submitting process."""
    with suppress(OSError):
        os.chdir(folder)

    def emit(value: Any) -> None:
        # Sent without waiting, so that the receiver does not slow down training.
        queue.actor.put_nowait.remote((call.key, value))

    end = time.monotonic() + _LOCKED_SECONDS
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


_INHERITED = ("GLUETUNE_DATA", "GLUETUNE_CACHE", "HF_HOME", "HF_ENDPOINT", "HF_HUB_OFFLINE")
"""Environment variables that workers inherit from this process. They use their own HF_TOKEN."""
_CONNECT_SECONDS = 5.0
"""Timeout of a connection to an address."""


@dataclass(frozen=True)
class Cluster:
    """The address of a cluster, and the resources of each job."""

    address: str
    """`auto` for this machine's cluster, `HOST:PORT`, or `local` to start one."""
    cpus: float = 1.0
    gpus: float = 0.0

    @property
    def threads(self) -> int:
        """How many threads a job uses: one per core."""
        return max(1, int(self.cpus))

    @contextmanager
    def open_pool(
        self, limit: int | None, *, restarts: int, on_event: OnValue | None
    ) -> Iterator[RayPool]:
        """Open a pool of the cluster's workers: as many as fit, and at most `limit`.

        A call whose worker dies is restarted, up to `restarts` times. At the end of the block,
        running calls are stopped as by Ctrl-C and waited for; a second Ctrl-C kills them.

        Raises ConfigurationError where the cluster cannot be reached.
        """
        pool = RayPool(connect(self), self, limit, restarts, on_event)
        try:
            yield pool
        finally:
            pool.stop()


def make_cluster(
    address: str | None, cpus: Any = None, gpus: Any = None, *, each: str = "trial"
) -> Cluster | None:
    """Return the requested cluster; None without an address.

    Args:
        address: See `Cluster`.
        cpus: Cores of each job, as typed.
        gpus: GPUs of each job, as typed.
        each: What a job is called in the flags: `--cpus-per-trial`.

    Raises:
        ConfigurationError: lists every mistake.
    """
    findings = []
    numbers = {}
    for name, given, default in (("cpus", cpus, 1.0), ("gpus", gpus, 0.0)):
        numbers[name] = default
        if given is None:
            continue
        flag = f"--{name}-per-{each}"
        if address is None:
            findings.append(Finding(f"{flag} {given} needs a cluster.", "Type: --ray auto"))
        try:
            numbers[name] = float(given)
        except ValueError:
            numbers[name] = -1.0
        if numbers[name] < 0 or (name == "cpus" and not numbers[name]):
            findings.append(Finding(f"{flag} {given} is not a valid amount.", f"Type: {flag} 1"))
    ConfigurationError.raise_any(findings)
    return None if address is None else Cluster(address, **numbers)


def connect(cluster: Cluster) -> Any:
    """Connect this process to the cluster, unless it is connected; return the ray module.

    Raises ConfigurationError where Ray is not installed, or the cluster cannot be reached.
    """
    # Ray sends usage statistics by default; a user can set the variable to 1.
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
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        try:
            ray.init(
                address=cluster.address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                include_dashboard=False if cluster.address == "local" else None,
                runtime_env={"env_vars": inherited} if inherited else None,
            )
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise _unreachable(cluster.address, str(error)) from error
    _check_capacity(cluster, ray.cluster_resources())
    return ray


def capacity(cluster: Cluster, resources: dict[str, float]) -> int:
    """Return how many jobs fit into `resources`, by Ray's names."""
    counts = [resources.get("CPU", 0.0) / cluster.cpus]
    if cluster.gpus:
        counts.append(resources.get("GPU", 0.0) / cluster.gpus)
    return int(min(counts) + 1e-9)


def _check_capacity(cluster: Cluster, resources: dict[str, float]) -> None:
    if capacity(cluster, resources) < 1:
        available = ", ".join(f"{resources.get(name, 0):g} {name}" for name in ("CPU", "GPU"))
        raise ConfigurationError(
            f"A job needs {cluster.cpus:g} CPU and {cluster.gpus:g} GPU, and the whole cluster has "
            f"{available}.",
            hint="Request less, or add machines.",
        )


def _check_reachable(address: str) -> None:
    """Try to connect first: Ray itself tries for more than a minute and prints many lines."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if address in ("auto", "local"):
        return
    if not colon or not port.isdigit():
        raise ConfigurationError(
            f"--ray {address} is not an address.", hint="Type: --ray auto, or --ray HOST:6379"
        )
    where = (host.strip("[]"), int(port))
    try:
        with contextlib.closing(socket.create_connection(where, _CONNECT_SECONDS)):
            return
    except OSError as error:
        raise _unreachable(address, error.strerror or str(error)) from error


def _unreachable(address: str, why: str) -> ConfigurationError:
    first = why.strip().splitlines()[0] if why.strip() else "no reply"
    return ConfigurationError(
        f"--ray {address}: the cluster cannot be reached: {first}",
        hint="On its head node: ray start --head. On the others: ray start --address HOST:6379. "
        "Then: --ray auto on one of them, or --ray HOST:6379",
    )
