"""Requests per second and latencies of `gluetune serve`, beside a plain pipeline behind FastAPI.

    python -m benchmarks.serving --write benchmarks/results/serving.md

Every contestant is a process of its own with the same checkpoint, in turn; the clients are
connections of one process that ask for one text at a time and share the processor with the server.
The checkpoint is all-MiniLM-L6-v2 with a head of random weights, since speed does not depend on
them, and the texts are the validation set of the sample's SST-2. One more run holds many clients
for longer, and reads the server's memory at its start and its end.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.load import Load, press

from gluetune.records import plural

TASK = "sst2"
_PATIENCE = 120.0


@dataclass(frozen=True)
class Contestant:
    """A way to serve the checkpoint."""

    name: str
    command: Sequence[str]
    """PORT stands where the port goes."""


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--many", type=int, default=200, help="Clients of the long run.")
    parser.add_argument("--long", type=float, default=60.0, help="Seconds of the long run.")
    parser.add_argument("--write", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        texts = sample_texts()
        contestants = make_contestants(Path(folder), options.threads)
        found = measure(contestants, texts, options)
        long = hold(contestants[0], texts, options.many, options.long)
    table = report(found, long, options)
    print(table)
    if options.write:
        options.write.write_text(table, encoding="utf-8")


def sample_texts() -> list[str]:
    """Return the texts that are asked."""
    from gluetune.data.sources import open_source
    from gluetune.tasks import get_task

    table = open_source("sample").read(get_task(TASK), "validation")
    return [str(text) for text in table["sentence"].to_pylist()]


def make_contestants(folder: Path, threads: int) -> list[Contestant]:
    """Write the checkpoint and its exports, and return the ways to serve them."""
    import gluetune
    from gluetune.modeling.checkpoints import find_checkpoint
    from gluetune.modeling.classifiers import load_classifier
    from gluetune.tasks import get_task

    checkpoint, onnx = folder / "minilm", folder / "onnx"
    classifier = load_classifier(find_checkpoint("minilm"), get_task(TASK), seed=0)
    classifier.model.save_pretrained(checkpoint)
    classifier.tokenizer.save_pretrained(checkpoint)
    gluetune.export(
        checkpoint, int8=True, output=onnx, task=TASK, data="sample", max_loss=1.0, threads=threads
    )
    common = ["--port", "PORT", "--threads", str(threads), "--precision", "fp32"]
    serve = [str(Path(sys.executable).with_name("gluetune")), "serve"]
    peer = [sys.executable, "-m", "benchmarks.peers.pipeline_server"]
    return [
        Contestant("gluetune serve", [*serve, str(checkpoint), *common]),
        Contestant(
            "the same, not batched",
            [*serve, str(checkpoint), *common, "--max-batch-requests", "1", "--max-wait-ms", "0"],
        ),
        Contestant("--backend onnx", [*serve, str(onnx), *common, "--backend", "onnx"]),
        Contestant("--backend onnx-int8", [*serve, str(onnx), *common, "--backend", "onnx-int8"]),
        Contestant("pipeline behind FastAPI", [*peer, str(checkpoint), "PORT", str(threads)]),
    ]


def measure(
    contestants: Sequence[Contestant], texts: Sequence[str], options: argparse.Namespace
) -> dict[tuple[str, int], Load]:
    """Return what clients saw, by contestant and number of clients, over all rounds."""
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


@contextmanager
def running(contestant: Contestant) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run a contestant on a free port until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    command = [str(port) if word == "PORT" else word for word in contestant.command]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
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
    from gluetune.evaluation.devices import device, device_name

    names = list(dict.fromkeys(name for name, _ in found))
    lines = [
        "# Serving",
        "",
        "Requests of one text each, a second; in parentheses the milliseconds within which half "
        "and 99% of them were answered.",
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
        f"{1000 * long.load.percentile(0.95):,.0f} ms; answers: {told}; memory: {memory}.",
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
