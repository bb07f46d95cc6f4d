"""A pool of processes that each run one call at a time, for searches and suites.

A call is picklable; it has an outcome, and emits events on its way.

`open_pool(1)` runs calls in this process, with no second import of torch; `open_pool(n)` in n
spawned processes. The caller decides which call is next whenever a process is free:

```
with open_pool(2) as pool:
    while waiting or pool.running:
        while waiting and pool.free:
            pool.submit(key, function, *arguments)
        outcome = pool.wait()
```
A process that dies fails its own call only and is replaced. Ctrl-C reaches every call once, sent by
this process: the spawned ones are in process groups of their own, which a terminal's Ctrl-C does
not reach. When this process dies, they stop as by SIGTERM.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from gluetune.core.errors import Finding, GluetuneError
from gluetune.parallel.orphans import registered
from gluetune.parallel.signals import deferring_signals, exiting_on_sigterm

if TYPE_CHECKING:
    from gluetune.parallel.ray import Cluster


@dataclass(frozen=True)
class Failure:
    """Why a call has no value."""

    kind: Literal["raised", "died", "interrupted"]
    """`died`: the worker exited. `interrupted`: the worker, and not this process, was stopped."""
    type: str
    """The exception's class."""
    findings: tuple[Finding, ...]
    traceback: str = ""
    """Of an exception other than a GluetuneError."""

    @property
    def message(self) -> str:
        """What went wrong, in one line."""
        return " ".join(finding.message for finding in self.findings)


@dataclass(frozen=True)
class Outcome:
    """Result of one call: its value, or a failure."""

    key: Hashable
    value: Any = None
    failure: Failure | None = None


OnValue = Callable[[Hashable, Any], object]
"""Called in the submitting process with a call's key and each value that the call emits."""

_emit_to: Callable[[Any], object] | None = None
"""Receives what the running call of this process emits; None outside of a call."""


def emit(value: Any) -> None:
    """Send `value` from inside a call to the submitting process; do nothing outside of a call."""
    if _emit_to is not None:
        _emit_to(value)


@contextmanager
def emitting_to(to: Callable[[Any], object] | None) -> Iterator[None]:
    """Pass what is emitted inside the block to `to`."""
    global _emit_to
    before, _emit_to = _emit_to, to
    try:
        yield
    finally:
        _emit_to = before


def failure_of(error: Exception) -> Failure:
    """Describe an exception as a Failure, with a traceback unless it is a GluetuneError."""
    name = type(error).__name__
    if isinstance(error, GluetuneError):
        return Failure("raised", name, error.findings)
    text = "".join(traceback.format_exception(error))
    return Failure("raised", name, (Finding(f"{name}: {error}"),), text)


@dataclass(frozen=True)
class Call:
    """A picklable call of a function. Its outcome carries its key."""

    key: Hashable
    function: Callable[..., Any]
    arguments: tuple[Any, ...]

    def outcome(self) -> Outcome:
        """Run the call. Only KeyboardInterrupt and SystemExit propagate."""
        try:
            return Outcome(self.key, self.function(*self.arguments))
        except Exception as error:  # noqa: BLE001  # any error fails this call, not the worker
            return Outcome(self.key, failure=failure_of(error))


_CONTEXT = multiprocessing.get_context("spawn")
_POLL_SECONDS = 1.0
"""How often to check that a process is alive while it sends nothing."""


class Pool(Protocol):
    """Processes that run calls: this one, spawned ones, or a cluster's."""

    @property
    def free(self) -> int:
        """How many more calls can be started now."""

    @property
    def running(self) -> tuple[Hashable, ...]:
        """Keys of the submitted calls whose outcome has not been returned yet."""

    def submit(self, key: Hashable, function: Callable[..., Any], *arguments: Any) -> None:
        """Start a call on a free worker; `key` identifies it. All arguments must be picklable."""

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """Return the outcome of the next call that ends; None after `timeout` seconds."""


@contextmanager
def open_pool(
    count: int,
    *,
    threads: int | None = None,
    devices: Sequence[str] = (),
    on_event: OnValue | None = None,
    cluster: Cluster | None = None,
    restarts: int = 0,
    folder: Path | None = None,
) -> Iterator[Pool]:
    """Open a pool of `count` processes; with one, calls run in this process.

    Args:
        count: How many calls run in parallel.
        threads: OMP_NUM_THREADS of each spawned process; None: an equal share of the cores. A call
            may set PyTorch's threads itself, as `train(threads=…)` does.
        devices: Values of CUDA_VISIBLE_DEVICES, given to the processes in turn; none: every process
            sees all devices.
        on_event: Called with what calls emit (`gluetune.parallel.pool.emit`).
        cluster: A Ray cluster to run calls on instead: as many in parallel as fit, and at most
            `count` if that is more than one. The cluster then determines threads and devices.
        restarts: How often to restart a call of the cluster whose worker died.
        folder: Where spawned processes register, so that `orphans.end_orphans` finds them.

    At the end of the block (by SIGTERM too), running calls are stopped as by Ctrl-C and waited for;
    a second Ctrl-C kills them.
    """
    if cluster is not None:
        limit = count if count > 1 else None
        with cluster.open_pool(limit, restarts=restarts, on_event=on_event) as ray_pool:
            yield ray_pool
        return
    if count == 1:
        yield _InProcessPool(on_event)
        return
    environments = [
        {
            "OMP_NUM_THREADS": str(threads or threads_each(count)),
            **({"CUDA_VISIBLE_DEVICES": devices[slot % len(devices)]} if devices else {}),
        }
        for slot in range(count)
    ]
    processes = ProcessPool(environments, on_event, folder)
    with exiting_on_sigterm():
        try:
            yield processes
        finally:
            processes.stop()


def run_all(pool: Pool, start_next: Callable[[], bool], end: Callable[[Outcome], None]) -> None:
    """Run calls until none can be started and none is running.

    Args:
        pool: Runs the calls.
        start_next: Called while a process is free; starts the next call and returns whether there
            was one.
        end: Called with the outcome of each call; more calls may be possible after it.
    """
    while True:
        while pool.free and start_next():
            pass
        if not pool.running:
            return
        outcome = pool.wait(_POLL_SECONDS)
        if outcome is not None:
            end(outcome)


def threads_each(count: int) -> int:
    """Return the cores that this process may use divided by `count`, at least 1."""
    return max(1, cores() // count)


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _InProcessPool:
    """This process as the only worker; a call runs inside `wait`."""

    def __init__(self, on_event: OnValue | None) -> None:
        self._on_event = on_event
        self._call: Call | None = None

    @property
    def free(self) -> int:
        return 0 if self._call else 1

    @property
    def running(self) -> tuple[Hashable, ...]:
        return (self._call.key,) if self._call else ()

    def submit(self, key: Hashable, function: Callable[..., Any], *arguments: Any) -> None:
        if self._call:
            raise RuntimeError(f"No worker is free for {key!r}.")
        self._call = Call(key, function, arguments)

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """Run the call. `timeout` is ignored: nothing else could be done meanwhile."""
        call = self._call
        if call is None:
            return None
        on_event = self._on_event
        try:
            with emitting_to(None if on_event is None else lambda value: on_event(call.key, value)):
                return call.outcome()
        finally:
            self._call = None


@dataclass
class _Worker:
    """One spawned process, and the call that it runs."""

    process: BaseProcess
    connection: Connection
    slot: int
    """Index of its environment."""
    call: Call | None = None
    is_started: bool = True
    """Whether it has confirmed that it started its call."""


@dataclass
class ProcessPool:
    """Spawned processes, as many as there are `environments`."""

    environments: list[dict[str, str]]
    on_event: OnValue | None
    folder: Path | None = None
    """Where they register as workers, so that they can be found after this process has died."""
    _workers: list[_Worker] = field(default_factory=list)
    _outcomes: list[Outcome] = field(default_factory=list)
    """Outcomes that were received and not returned yet."""

    @property
    def free(self) -> int:
        """How many more calls can be started now."""
        return len(self.environments) - len(self._busy())

    @property
    def running(self) -> tuple[Hashable, ...]:
        """Keys of the calls whose outcome has not been returned yet."""
        ended = (outcome.key for outcome in self._outcomes)
        return (*ended, *(worker.call.key for worker in self._busy() if worker.call))

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.call]

    def submit(self, key: Hashable, function: Callable[..., Any], *arguments: Any) -> None:
        """Start a call in a free process."""
        if self.free < 1:
            raise RuntimeError(f"No worker is free for {key!r}.")
        call = Call(key, function, arguments)
        idle = self._idle()
        self._send(idle or self._new(), call, is_started=idle is None)

    def _send(self, worker: _Worker, call: Call, *, is_started: bool) -> None:
        """Send a call to a process; an idle one, which may be dying, has to confirm the start."""
        worker.call, worker.is_started = call, is_started
        with suppress(OSError):  # it died just now, which `_poll` notices
            worker.connection.send((call.key, bytes(ForkingPickler.dumps(call))))

    def _idle(self) -> _Worker | None:
        """Return a process without a call, if there is one; remove those that died idle."""
        for worker in [worker for worker in self._workers if not worker.call]:
            if worker.process.is_alive():
                return worker
            self._remove(worker)
        return None

    def _new(self) -> _Worker:
        taken = {worker.slot for worker in self._workers}
        slot = min(set(range(len(self.environments))) - taken)
        # A process interrupted while it starts would print a traceback, and not be stopped.
        with deferring_signals():
            process, connection = _spawn(self.environments[slot], self.folder)
            worker = _Worker(process, connection, slot)
            self._workers.append(worker)
        return worker

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """Return the outcome of the next call that ends; None after `timeout` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self._outcomes:
            left = _POLL_SECONDS if end is None else min(_POLL_SECONDS, end - time.monotonic())
            busy = self._busy()
            if left < 0 or not busy:
                return None
            multiprocessing.connection.wait([worker.connection for worker in busy], left)
            for worker in busy:
                self._poll(worker)
        return self._outcomes.pop(0)

    def _poll(self, worker: _Worker) -> None:
        """Receive what a process has sent, or notice its death.

        The system reports whether it is alive; its pipes do not, since a data loader forked from it
        would keep them open.
        """
        alive = worker.process.is_alive()  # first: what it sent before it died counts
        with suppress(EOFError, OSError):
            while worker.call and worker.connection.poll():
                self._receive(worker, worker.call)
        call = worker.call
        if call and not alive:
            self._remove(worker)
            if worker.is_started:
                self._outcomes.append(Outcome(call.key, failure=_death(worker.process.exitcode)))
            else:  # it died idle, so not because of the call
                self._send(self._new(), call, is_started=True)

    def _receive(self, worker: _Worker, call: Call) -> None:
        kind, value = worker.connection.recv()
        if kind == "started":
            worker.is_started = True
            return
        if kind == "emitted":
            if self.on_event is not None:
                self.on_event(call.key, value)
            return
        worker.call = None
        self._outcomes.append(value)
        if value.failure and value.failure.kind == "interrupted":
            self._remove(worker)  # it is exiting

    def _remove(self, worker: _Worker) -> None:
        worker.connection.close()
        worker.process.join()
        self._workers.remove(worker)

    def stop(self) -> None:
        """Stop every process, those with a call as by Ctrl-C; a second Ctrl-C kills them."""
        try:
            for worker in self._busy():
                if worker.process.pid is not None:
                    with suppress(ProcessLookupError):
                        os.kill(worker.process.pid, signal.SIGINT)
            while self.running:
                self.wait()
            for worker in list(self._workers):
                self._remove(worker)
        except BaseException:
            for worker in self._workers:
                worker.process.kill()
                worker.process.join()
            raise


def _death(exit_code: int | None) -> Failure:
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        memory = " Check that there is enough memory." if name == "SIGKILL" else ""
        return Failure("died", name, (Finding(f"Its process was killed by {name}.{memory}"),))
    return Failure("died", "exit", (Finding(f"Its process exited with exit code {exit_code}."),))


def _spawn(environment: Mapping[str, str], folder: Path | None) -> tuple[BaseProcess, Connection]:
    ours, theirs = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=_serve, args=(theirs, folder))
    # The tracker removes the mask when it starts, so it starts first.
    resource_tracker.ensure_running()
    # Masked until the process has a group of its own: Ctrl-C in between would print a traceback.
    _mask_interrupt(blocked=True)
    try:
        with _environment(environment):
            process.start()
    finally:
        _mask_interrupt(blocked=False)
    theirs.close()
    return process, ours


def _mask_interrupt(*, blocked: bool) -> None:
    """Block or unblock Ctrl-C where the system can mask signals (not on Windows)."""
    if hasattr(signal, "pthread_sigmask"):
        how = signal.SIG_BLOCK if blocked else signal.SIG_UNBLOCK
        signal.pthread_sigmask(how, {signal.SIGINT})


@contextmanager
def _environment(changed: Mapping[str, str]) -> Iterator[None]:
    """Change the environment that a new process inherits: torch reads it on import."""
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(connection: Connection, folder: Path | None = None) -> None:
    """Run calls until the other end is closed; the main function of a spawned process.

    It registers before it checks that its parent is alive: where no worker is registered, no orphan
    can start to work later.
    """
    if hasattr(os, "setpgrp"):
        os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # discards one that was received while masked
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with registered(folder) if folder is not None else nullcontext():
        if not _has_parent():
            return
        threading.Thread(target=_exit_with_parent, daemon=True).start()
        with suppress(EOFError, OSError, KeyboardInterrupt):
            _mask_interrupt(blocked=False)
            while True:
                key, content = connection.recv()
                connection.send(("started", None))
                _run_call(connection, key, content)


def _has_parent() -> bool:
    parent = multiprocessing.parent_process()
    return parent is None or parent.is_alive()


def _run_call(connection: Connection, key: Hashable, content: bytes) -> None:
    def emit(value: Any) -> None:
        with suppress(OSError):  # the other end is closed: this process will be stopped
            connection.send(("emitted", value))

    try:
        with emitting_to(emit):
            outcome = _outcome(key, content)
    except (KeyboardInterrupt, SystemExit) as error:
        failure = Failure("interrupted", type(error).__name__, (Finding("It was stopped."),))
        connection.send(("over", Outcome(key, failure=failure)))
        raise
    try:
        connection.send(("over", outcome))
    except (pickle.PicklingError, AttributeError, TypeError) as error:  # it cannot be pickled
        connection.send(("over", Outcome(key, failure=failure_of(error))))


def _outcome(key: Hashable, content: bytes) -> Outcome:
    """Run a call. Unpickling it imports its function, which may fail as the call itself may."""
    try:
        call: Call = pickle.loads(content)
    except Exception as error:  # noqa: BLE001  # any error fails this call, not the worker
        return Outcome(key, failure=failure_of(error))
    return call.outcome()


def _exit_with_parent() -> None:
    """Stop this process when its parent exits."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
