"""Requests per second and latencies of `gluetune serve`, and of a plain pipeline behind FastAPI.

    python -m benchmarks.serving --write benchmarks/results/serving.md

Every contestant is a process of its own with the same checkpoint, in turn; the clients are
connections of one process that send one text at a time and share the processor with the server.
The checkpoint is all-MiniLM-L6-v2 with a head of random weights, since speed does not depend on
them, and the texts are the validation set of the sample's SST-2. One more run holds many clients
for longer, and reads the server's memory at its start and its end.

    python -m benchmarks.serving --idle 2000 --write benchmarks/results/serving-idle.md

measures something else, in a minute: what a few clients get next to so many connections that send
nothing, or half of a request's head, where the server may have 1,024 files open.
"""

from __future__ import annotations

import argparse
import os
import resource
import selectors
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO

from benchmarks.load import Load, press

from gluetune.core.records import plural

TASK = "sst2"
OPEN_FILES = 1_024
"""What a process may have open on most systems."""
IDLE_CLIENTS = 4
_PATIENCE = 120.0
_IDLE_PATIENCE = 40.0
"""Seconds after which idle connections are taken for kept."""


@dataclass(frozen=True)
class Contestant:
    """A way to serve the checkpoint."""

    name: str
    command: Sequence[str]
    """With PORT in place of the port."""


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--many", type=int, default=200, help="Clients of the long run.")
    parser.add_argument("--long", type=float, default=60.0, help="Seconds of the long run.")
    parser.add_argument("--idle", type=int, default=0, help="Measure next to idle connections.")
    parser.add_argument("--write", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        texts = sample_texts()
        table = (compare_idle if options.idle else compare_load)(Path(folder), texts, options)
    print(table)
    if options.write:
        options.write.write_text(table, encoding="utf-8")


def compare_load(folder: Path, texts: Sequence[str], options: argparse.Namespace) -> str:
    """Measure the contestants under load, and return the table."""
    contestants = make_contestants(folder, options.threads)
    found = measure(contestants, texts, options)
    long = hold(contestants[0], texts, options.many, options.long)
    return report(found, long, options)


def compare_idle(folder: Path, texts: Sequence[str], options: argparse.Namespace) -> str:
    """Measure `gluetune serve` next to idle connections, and return the table."""
    server = gluetune_serve(write_checkpoint(folder), options.threads)
    return report_idle(beside_idle(server, texts, options), options)


def sample_texts() -> list[str]:
    """Return the texts of the requests."""
    from gluetune.core.tasks import get_task
    from gluetune.data.sources import open_source

    table = open_source("sample").read(get_task(TASK), "validation")
    return [str(text) for text in table["sentence"].to_pylist()]


def make_contestants(folder: Path, threads: int) -> list[Contestant]:
    """Write the checkpoint and its exports, and return the ways to serve them."""
    import gluetune

    checkpoint, onnx = write_checkpoint(folder), folder / "onnx"
    gluetune.export(
        checkpoint, int8=True, output=onnx, task=TASK, data="sample", max_loss=1.0, threads=threads
    )
    common = ["--port", "PORT", "--threads", str(threads), "--precision", "fp32"]
    plain = gluetune_serve(checkpoint, threads)
    serve = plain.command[:2]
    peer = [sys.executable, "-m", "benchmarks.peers.pipeline_server"]
    return [
        plain,
        Contestant(
            "the same, not batched",
            [*serve, str(checkpoint), *common, "--max-batch-requests", "1", "--max-wait-ms", "0"],
        ),
        Contestant("--backend onnx", [*serve, str(onnx), *common, "--backend", "onnx"]),
        Contestant("--backend onnx-int8", [*serve, str(onnx), *common, "--backend", "onnx-int8"]),
        Contestant("pipeline behind FastAPI", [*peer, str(checkpoint), "PORT", str(threads)]),
    ]


def write_checkpoint(folder: Path) -> Path:
    """Write the checkpoint, and return its folder."""
    from gluetune.core.tasks import get_task
    from gluetune.models.checkpoints import find_checkpoint
    from gluetune.models.classifiers import load_classifier

    checkpoint = folder / "minilm"
    classifier = load_classifier(find_checkpoint("minilm"), get_task(TASK), seed=0)
    classifier.model.save_pretrained(checkpoint)
    classifier.tokenizer.save_pretrained(checkpoint)
    return checkpoint


def gluetune_serve(checkpoint: Path, threads: int) -> Contestant:
    """Return `gluetune serve` with its defaults."""
    common = ["--port", "PORT", "--threads", str(threads), "--precision", "fp32"]
    command = [str(Path(sys.executable).with_name("gluetune")), "serve", str(checkpoint), *common]
    return Contestant("gluetune serve", command)


def measure(
    contestants: Sequence[Contestant], texts: Sequence[str], options: argparse.Namespace
) -> dict[tuple[str, int], Load]:
    """Return the results by contestant and number of clients, over all rounds."""
    found: dict[tuple[str, int], Load] = {}
    for _ in range(options.rounds):
        for contestant in contestants:
            with running(contestant) as (port, _process):
                press(port, texts, clients=4, seconds=1.0)  # warm
                for clients in options.clients:
                    load = press(port, texts, clients=clients, seconds=options.seconds)
                    key = (contestant.name, clients)
                    found[key] = found.get(key, Load()) + load
                    print(f"{key}: {load.per_second:.0f}/s {dict(load.statuses)}", file=sys.stderr)
    return found


@dataclass(frozen=True)
class Held:
    """A long run with many clients."""

    load: Load
    memory: Mapping[str, float]
    """MiB of the server by when."""


def hold(contestant: Contestant, texts: Sequence[str], clients: int, seconds: float) -> Held:
    """Press with many clients for long, and read the memory after a tenth and at the end."""
    with running(contestant) as (port, process):
        first = press(port, texts, clients=clients, seconds=seconds / 10)
        early = resident(process.pid)
        rest = press(port, texts, clients=clients, seconds=seconds * 9 / 10)
        return Held(first + rest, {"after a tenth": early, "at the end": resident(process.pid)})


@dataclass(frozen=True)
class Idle:
    """The results of a few clients next to idle connections of one kind, and the cost of those."""

    kind: str
    load: Load
    processor: float
    """CPU seconds per second without requests."""
    closed: float | None
    """Seconds until the server had closed the last of them; None where it did not."""


def beside_idle(
    contestant: Contestant, texts: Sequence[str], options: argparse.Namespace
) -> tuple[list[Idle], int]:
    """Return the results of clients next to idle connections of each kind, and the log's bytes."""
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\n"
    kinds = {"send nothing": b"", "send half a head": head}
    allow_files(options.idle + 500)
    with tempfile.TemporaryFile() as log, running(contestant, OPEN_FILES, log) as (port, process):
        press(port, texts, clients=4, seconds=1.0)  # warm
        alone = press(port, texts, clients=IDLE_CLIENTS, seconds=options.seconds)
        found = [Idle("none", alone, 0.0, 0.0)]
        for kind, begin in kinds.items():
            with open_idle(port, options.idle, begin) as idle:
                opened = time.monotonic()
                load = press(port, texts, clients=IDLE_CLIENTS, seconds=options.seconds)
                before, since = processor_seconds(process.pid), time.monotonic()
                closed = wait_until_closed(idle)
                spent = processor_seconds(process.pid) - before
                share = spent / (time.monotonic() - since)
                found.append(Idle(kind, load, share, closed and closed - opened))
        return found, os.fstat(log.fileno()).st_size


def allow_files(count: int) -> None:
    """Let this process, which holds the clients' ends, have so many files open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


@contextmanager
def open_idle(port: int, count: int, begin: bytes) -> Iterator[list[socket.socket]]:
    """Hold connections that send `begin` and then nothing."""
    with ExitStack() as stack:
        idle = []
        for _ in range(count):
            each = stack.enter_context(socket.create_connection(("127.0.0.1", port), _PATIENCE))
            with suppress(ConnectionError):  # closed by now, to make room for the next
                each.sendall(begin)
            idle.append(each)
        yield idle


def wait_until_closed(idle: Sequence[socket.socket]) -> float | None:
    """Wait for the server to close them all; return the moment, or None where it does not."""
    with selectors.DefaultSelector() as selector:
        for each in idle:
            selector.register(each, selectors.EVENT_READ)
        ends = time.monotonic() + _IDLE_PATIENCE
        while selector.get_map():
            if time.monotonic() > ends:
                return None
            for key, _ in selector.select(0.1):
                if _is_closed(idle_socket(key)):
                    selector.unregister(key.fileobj)
    return time.monotonic()


def idle_socket(key: selectors.SelectorKey) -> socket.socket:
    """Return the socket of a selector's key."""
    assert isinstance(key.fileobj, socket.socket)
    return key.fileobj


def _is_closed(each: socket.socket) -> bool:
    try:
        return not each.recv(10_000)
    except ConnectionError:
        return True


def processor_seconds(pid: int) -> float:
    """Return the processor's seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def report_idle(found: tuple[list[Idle], int], options: argparse.Namespace) -> str:
    """Return the table of the results next to idle connections, as Markdown."""
    rows, logged = found
    lines = [
        "# Serving with idle connections",
        "",
        f"What {IDLE_CLIENTS} clients got of `gluetune serve`, which may have {OPEN_FILES:,} files "
        f"open, with {options.idle:,} connections that do not continue: requests a second; in "
        "parentheses the milliseconds within which half and 99% of them were completed. Then the "
        "share of one core that the server used while only those connections were there, and when "
        "it had closed the last of them.",
        "",
        "| the others | requests/s | statuses | of a core | all closed after |",
        "|---|---|---|---|---|",
    ]
    for one in rows:
        statuses = ", ".join(f"{count:,} of {code}" for code, count in one.load.statuses.items())
        closed = "never" if one.closed is None else f"{one.closed:.0f} s"
        last = ("", "") if one.kind == "none" else (f"{one.processor:.1%}", closed)
        rate = _cell(one.load) if one.load.latencies else "0"
        lines.append(f"| {one.kind} | {rate} | {statuses} | {' | '.join(last)} |")
    lines += ["", f"The server's log: {logged:,} bytes.", "", _conditions(options), ""]
    return "\n".join(lines)


def _conditions(options: argparse.Namespace) -> str:
    from gluetune.inference.devices import device, device_name

    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "fastapi", "uvicorn"))
    return (
        f"all-MiniLM-L6-v2 with two classes, float32, {device_name(device())}, {options.threads} "
        f"threads; the clients run on the same processor, {options.seconds:g} s each. Python "
        f"{sys.version.split()[0]}, {versions}. Made by "
        f"`python -m benchmarks.serving --idle {options.idle}`."
    )


@contextmanager
def running(
    contestant: Contestant, files: int | None = None, log: IO[bytes] | None = None
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run a contestant on a free port until the block ends, with at most so many open files."""

    def limit() -> None:
        if files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    command = [str(port) if word == "PORT" else word for word in contestant.command]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log, preexec_fn=limit)
    try:
        _wait(port, process)
        yield port, process
    finally:
        process.terminate()
        process.wait(_PATIENCE)


def resident(pid: int) -> float:
    """Return a process' resident memory in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"process {pid} has no VmRSS")


def report(found: Mapping[tuple[str, int], Load], long: Held, options: argparse.Namespace) -> str:
    """Return the tables as Markdown."""
    from gluetune.inference.devices import device, device_name

    names = list(dict.fromkeys(name for name, _ in found))
    lines = [
        "# Serving",
        "",
        "Requests of one text each, a second; in parentheses the milliseconds within which half "
        "and 99% of them were completed.",
        "",
        "| | " + " | ".join(plural(count, "client") for count in options.clients) + " |",
        "|---" * (1 + len(options.clients)) + "|",
    ]
    for name in names:
        cells = (_cell(found[name, count]) for count in options.clients)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    told = ", ".join(
        f"{count:,} of {status}" for status, count in sorted(long.load.statuses.items())
    )
    memory = ", ".join(f"{value:,.0f} MiB {when}" for when, value in long.memory.items())
    packages = ("torch", "transformers", "onnxruntime", "fastapi", "uvicorn")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    lines += [
        "",
        f"`gluetune serve` with {options.many} clients for {options.long:g} s: "
        f"{long.load.per_second:,.0f} requests/s, half within "
        f"{1000 * long.load.percentile(0.5):,.0f} ms, 95% within "
        f"{1000 * long.load.percentile(0.95):,.0f} ms; responses: {told}; memory: {memory}.",
        "",
        f"all-MiniLM-L6-v2 with two classes, float32, {device_name(device())}, {options.threads} "
        f"threads; the clients run on the same processor. {options.rounds} rounds of "
        f"{options.seconds:g} s each, contestants in turn. Python {sys.version.split()[0]}, "
        f"{versions}. Made by `python -m benchmarks.serving`.",
        "",
    ]
    return "\n".join(lines)


def _cell(load: Load) -> str:
    half, most = (1000 * load.percentile(share) for share in (0.5, 0.99))
    return f"{load.per_second:,.0f} ({half:,.0f}, {most:,.0f})"


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + _PATIENCE
    while time.monotonic() < ends:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("the server did not start")


if __name__ == "__main__":
    main()
