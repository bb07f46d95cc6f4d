"""A pool of processes that each run one call at a time: what a suite and a search share.

`open_pool(1)` runs calls in this process, with no second import of torch; `open_pool(n)` in n
spawned ones. Which call comes next is the caller's to decide, whenever a process is free:

```
with open_pool(2) as pool:
    while waiting or pool.running:
        while waiting and pool.free:
            pool.submit(key, function, *arguments)
        outcome = pool.wait()
```
A process that dies costs its own call and is replaced. Ctrl-C reaches every call once, through
this process alone: the spawned ones are in process groups of their own, where a terminal's Ctrl-C
does not come. When this process dies, they stop as by SIGTERM.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gluetune.core.errors import Finding
from gluetune.parallel.calls import Call, Failure, OnValue, Outcome, emitting_to, failure_of
from gluetune.parallel.orphans import registered
from gluetune.parallel.signals import deferring_signals, exiting_on_sigterm

if TYPE_CHECKING:
    from gluetune.parallel.ray import Cluster

_CONTEXT = multiprocessing.get_context("spawn")
_LOOK_SECONDS = 1.0
"""How often a silent process is looked for."""


class Pool(Protocol):
    """Processes that run calls: this one, spawned ones, or a cluster's."""

    @property
    def free(self) -> int:
        """How many more calls can be started now."""

    @property
    def running(self) -> tuple[Hashable, ...]:
        """Keys of the calls that were started and whose outcome was not handed out yet."""

    def submit(self, key: Hashable, function: Callable[..., Any], *arguments: Any) -> None:
        """Start a call while a worker is free; `key` names it. All must be picklable."""

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """Return the next call that is over; None after `timeout` seconds without one."""


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
    """Give a pool of `count` processes: of one, this process itself.

    Args:
        count: How many calls run at a time.
        threads: What OMP_NUM_THREADS says in each spawned process; None: its share of the cores.
            A call that sets PyTorch's threads itself, as `train(threads=…)` does, has its way.
        devices: What CUDA_VISIBLE_DEVICES says in each process, in turn; none: all see all.
        on_event: Called with what calls emit (`gluetune.parallel.calls.emit`).
        cluster: Where calls run instead: as many at a time as it has room for, and where `count`
            is more than one at most so many. `threads` and `devices` are then the cluster's.
        restarts: How often a cluster's call whose worker died is started again.
        folder: Where spawned processes register, for `orphans.end_orphans` to find them there.

    Whatever ends the block (SIGTERM too), calls that still run are stopped as by Ctrl-C and
    waited for; a second Ctrl-C kills them.
    """
    if cluster is not None:
        from gluetune.parallel.ray import open_ray_pool

        limit = count if count > 1 else None
        with open_ray_pool(cluster, limit, restarts=restarts, on_event=on_event) as there:
            yield there
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
    """Run calls until none is left to start and none is running.

    Args:
        pool: Where they run.
        start_next: Starts the next call, while a process is free; returns whether it could.
        end: Called with the outcome of each call; it may make more calls possible.
    """
    while True:
        while pool.free and start_next():
            pass
        if not pool.running:
            return
        outcome = pool.wait(_LOOK_SECONDS)
        if outcome is not None:
            end(outcome)


def threads_each(count: int) -> int:
    """Return each of `count` processes' share of the cores that this one may use, at least 1."""
    return max(1, cores() // count)


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _InProcessPool:
    """This process as the only worker: a call runs while it is waited for."""

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
        """Run the call. `timeout` is not looked at: nothing else could be done meanwhile."""
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
    """Its place among the environments."""
    call: Call | None = None
    begun: bool = True
    """Whether it has said that it took its call up."""


@dataclass
class ProcessPool:
    """Spawned processes, as many as there are `environments`."""

    environments: list[dict[str, str]]
    on_event: OnValue | None
    folder: Path | None = None
    """Where they register as workers, so that they are found when this process is gone."""
    _workers: list[_Worker] = field(default_factory=list)
    _over: list[Outcome] = field(default_factory=list)
    """Outcomes that have come and were not handed out yet."""

    @property
    def free(self) -> int:
        """How many more calls can be started now."""
        return len(self.environments) - len(self._busy())

    @property
    def running(self) -> tuple[Hashable, ...]:
        """Keys of the calls whose outcome was not handed out yet."""
        over = (outcome.key for outcome in self._over)
        return (*over, *(worker.call.key for worker in self._busy() if worker.call))

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.call]

    def submit(self, key: Hashable, function: Callable[..., Any], *arguments: Any) -> None:
        """Start a call in a process that has none."""
        if self.free < 1:
            raise RuntimeError(f"No worker is free for {key!r}.")
        call = Call(key, function, arguments)
        idle = self._idle()
        self._hand(idle or self._new(), call, begun=idle is None)

    def _hand(self, worker: _Worker, call: Call, *, begun: bool) -> None:
        """Give a call to a process; one that may die idle at this moment has to say `begun`."""
        worker.call, worker.begun = call, begun
        with suppress(OSError):  # it died just now, which is noticed by `_look`
            worker.connection.send((call.key, bytes(ForkingPickler.dumps(call))))

    def _idle(self) -> _Worker | None:
        """Return a process without a call, if there is one; forget those that died so."""
        for worker in [worker for worker in self._workers if not worker.call]:
            if worker.process.is_alive():
                return worker
            self._forget(worker)
        return None

    def _new(self) -> _Worker:
        taken = {worker.slot for worker in self._workers}
        slot = min(set(range(len(self.environments))) - taken)
        # Half begun, it would end in a traceback of its own, and nobody would stop it.
        with deferring_signals():
            process, connection = _spawn(self.environments[slot], self.folder)
            worker = _Worker(process, connection, slot)
            self._workers.append(worker)
        return worker

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """Return the next call that is over; None after `timeout` seconds without one."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self._over:
            left = _LOOK_SECONDS if end is None else min(_LOOK_SECONDS, end - time.monotonic())
            busy = self._busy()
            if left < 0 or not busy:
                return None
            multiprocessing.connection.wait([worker.connection for worker in busy], left)
            for worker in busy:
                self._look(worker)
        return self._over.pop(0)

    def _look(self, worker: _Worker) -> None:
        """Take what a process has sent, or notice its death.

        The system says whether it is alive: a loader's process, forked from it, would keep its
        pipes open.
        """
        alive = worker.process.is_alive()  # first: what it sent before it died counts
        with suppress(EOFError, OSError):
            while worker.call and worker.connection.poll():
                self._receive(worker, worker.call)
        call = worker.call
        if call and not alive:
            self._forget(worker)
            if worker.begun:
                self._over.append(Outcome(call.key, failure=_death(worker.process.exitcode)))
            else:  # it died idle, so the call was none of the reasons
                self._hand(self._new(), call, begun=True)

    def _receive(self, worker: _Worker, call: Call) -> None:
        kind, value = worker.connection.recv()
        if kind == "begun":
            worker.begun = True
            return
        if kind == "emitted":
            if self.on_event is not None:
                self.on_event(call.key, value)
            return
        worker.call = None
        self._over.append(value)
        if value.failure and value.failure.kind == "interrupted":
            self._forget(worker)  # it is on its way out

    def _forget(self, worker: _Worker) -> None:
        worker.connection.close()
        worker.process.join()
        self._workers.remove(worker)

    def stop(self) -> None:
        """End every process, those with a call as by Ctrl-C; a second Ctrl-C kills them."""
        try:
            for worker in self._busy():
                if worker.process.pid is not None:
                    with suppress(ProcessLookupError):
                        os.kill(worker.process.pid, signal.SIGINT)
            while self.running:
                self.wait()
            for worker in list(self._workers):
                self._forget(worker)
        except BaseException:
            for worker in self._workers:
                worker.process.kill()
                worker.process.join()
            raise


def _death(exit_code: int | None) -> Failure:
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        memory = " Was there enough memory?" if name == "SIGKILL" else ""
        return Failure("died", name, (Finding(f"Its process was killed by {name}.{memory}"),))
    return Failure("died", "exit", (Finding(f"Its process ended with exit code {exit_code}."),))


def _spawn(environment: Mapping[str, str], folder: Path | None) -> tuple[BaseProcess, Connection]:
    ours, theirs = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=_serve, args=(theirs, folder))
    # The tracker takes the mask away when it starts, so it starts first.
    resource_tracker.ensure_running()
    # Masked until it is in a group of its own: a Ctrl-C in between would end it in a traceback.
    _mask_interrupt(blocked=True)
    try:
        with _environment(environment):
            process.start()
    finally:
        _mask_interrupt(blocked=False)
    theirs.close()
    return process, ours


def _mask_interrupt(*, blocked: bool) -> None:
    """Hold back Ctrl-C, or let it through, where the system can mask signals (not on Windows)."""
    if hasattr(signal, "pthread_sigmask"):
        how = signal.SIG_BLOCK if blocked else signal.SIG_UNBLOCK
        signal.pthread_sigmask(how, {signal.SIGINT})


@contextmanager
def _environment(changed: Mapping[str, str]) -> Iterator[None]:
    """Change the variables that a new process inherits: torch reads them on import."""
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
    """Run calls until the other end is closed: what a spawned process does.

    It registers first and then looks whether its parent is there: whoever finds nobody registered
    may be sure that no orphan begins to work later.
    """
    if hasattr(os, "setpgrp"):
        os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # forgets one that came while it was masked
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with registered(folder) if folder is not None else nullcontext():
        if not _has_parent():
            return
        threading.Thread(target=_exit_with_parent, daemon=True).start()
        with suppress(EOFError, OSError, KeyboardInterrupt):
            _mask_interrupt(blocked=False)
            while True:
                key, content = connection.recv()
                connection.send(("begun", None))
                _run_call(connection, key, content)


def _has_parent() -> bool:
    parent = multiprocessing.parent_process()
    return parent is None or parent.is_alive()


def _run_call(connection: Connection, key: Hashable, content: bytes) -> None:
    def emit(value: Any) -> None:
        with suppress(OSError):  # the other end is gone: this process will be stopped
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
    """Run a call. Reading it imports its function, which may fail as the call itself may."""
    try:
        call: Call = pickle.loads(content)
    except Exception as error:  # noqa: BLE001  # whatever it is, it costs this call alone
        return Outcome(key, failure=failure_of(error))
    return call.outcome()


def _exit_with_parent() -> None:
    """Stop this process when the one that started it is gone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
