"""`gluetune` in a process of its own, to be watched, limited, signalled and killed.

`start` starts the command itself. `fork` runs the same command line in a process that has imported
torch already, and `fork_code` any code, for tests of what a process does after its start.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import IO

from tests.support.forks import FORKS

COMMAND = Path(sys.executable).parent / "gluetune"
_PATIENCE = 120.0
"""Seconds after which a process that does nothing is taken for hung."""


@dataclass(frozen=True)
class ProcessLimits:
    """The most that a process may use."""

    largest_file: int | None = None
    """Bytes in a file."""
    most_files: int | None = None
    """Files open at a time."""

    def apply(self) -> None:
        """Limit this process."""
        if self.largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.largest_file, self.largest_file))
        if self.most_files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self.most_files, self.most_files))


@dataclass
class Forked:
    """A forked process; its members are those of subprocess.Popen."""

    process: BaseProcess
    stdin: IO[str]
    stdout: IO[str]
    stderr: IO[str]

    @property
    def pid(self) -> int:
        """The number of the process."""
        assert self.process.pid is not None
        return self.process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, negative where a signal killed it."""
        return self.process.exitcode

    def poll(self) -> int | None:
        """Return the exit code, and None while it runs."""
        return self.process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            raise subprocess.TimeoutExpired("gluetune", timeout or 0)
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def communicate(
        self, given: str | None = None, timeout: float | None = None
    ) -> tuple[str, str]:
        """Write to its standard input, and wait for its end; return its output and errors."""
        with suppress(BrokenPipeError):  # it may have ended
            self.stdin.write(given or "")
            self.stdin.close()
        with ThreadPoolExecutor(2) as readers:
            out, err = (readers.submit(stream.read) for stream in (self.stdout, self.stderr))
            self.wait(timeout)
            return out.result(timeout), err.result(timeout)


Process = subprocess.Popen[str] | Forked


def start(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    limits: ProcessLimits = ProcessLimits(),
) -> subprocess.Popen[str]:
    """Start `gluetune` with `arguments`."""
    return subprocess.Popen(
        [str(COMMAND), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limits.apply,
    )


def fork(arguments: Sequence[str], *, limits: ProcessLimits = ProcessLimits()) -> Forked:
    """Run `gluetune` with `arguments` in a forked process."""
    return _fork("from gluetune.cli.app import main; main()", [str(COMMAND), *arguments], limits)


def fork_code(code: str, *arguments: object) -> Forked:
    """Run `python -c CODE ARGUMENTS` in a forked process."""
    return _fork(code, ["-c", *map(str, arguments)], ProcessLimits())


def _fork(code: str, arguments: list[str], limits: ProcessLimits) -> Forked:
    given, out, err = (FORKS.Pipe(duplex=False) for _ in range(3))
    streams = [given[0], out[1], err[1]]
    process = FORKS.Process(
        target=_run, args=(code, arguments, dict(os.environ), Path.cwd(), limits, streams)
    )
    process.start()
    for connection in streams:
        connection.close()
    return Forked(process, _opened(given[1], "w"), _opened(out[0], "r"), _opened(err[0], "r"))


def _opened(connection: Connection, mode: str) -> IO[str]:
    descriptor = os.dup(connection.fileno())
    connection.close()
    return os.fdopen(descriptor, mode, encoding="utf-8")


def _run(
    code: str,
    arguments: list[str],
    environment: dict[str, str],
    folder: Path,
    limits: ProcessLimits,
    streams: list[Connection],
) -> None:
    for number, connection in enumerate(streams):
        os.dup2(connection.fileno(), number)
        connection.close()
    # The server's own streams know no pipes.
    sys.stdin = os.fdopen(0, encoding="utf-8")
    sys.stdout = os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8")
    os.environ.clear()
    os.environ |= environment
    os.chdir(folder)
    limits.apply()
    sys.argv = arguments
    exec(code, {"__name__": "__main__"})
    sys.stdout.flush()


def wait_until(process: Process, condition: Callable[[], bool]) -> None:
    """Return as soon as `condition` holds. Fails when the process ends before, or hangs."""
    begin = time.monotonic()
    while not condition():
        if process.poll() is not None:
            raise AssertionError(f"ended too early: {process.communicate()}")
        if time.monotonic() - begin > _PATIENCE:
            process.kill()
            raise AssertionError(f"hung: {process.communicate()}")
        time.sleep(0.002)


def finish(process: Process, stdin: str | None = None) -> tuple[int, str, str]:
    """Wait for the process; return its exit code, standard output and standard error."""
    out, err = process.communicate(stdin, timeout=_PATIENCE)
    assert process.returncode is not None
    return process.returncode, out, err
