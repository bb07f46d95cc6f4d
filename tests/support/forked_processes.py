"""Several processes that train one run, as torchrun starts them, but forked.

Each writes its output to a separate file.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.support.forks import FORKS
from tests.support.tiny_runs import At
from torch.distributed import TCPStore

import gluetune
from gluetune.cli import app as cli
from gluetune.core.errors import StorageError
from gluetune.models.classifiers import load_classifier

_PATIENCE = 120.0


@dataclass(frozen=True)
class Ended:
    """How one process ended: its exit code (-9 where it was killed), and its output."""

    code: int
    said: str


def run_together(
    folder: Path, work: Callable[..., None], *args: Any, count: int = 2
) -> list[Ended]:
    """Run `work(*args)` in so many processes; return how each ended. It keeps the store."""
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    port = store.port
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(count),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
    }
    processes, files = [], [folder / f"said-{port}-{index}.txt" for index in range(count)]
    for index, file in enumerate(files):
        environment = {**shared, "RANK": str(index), "LOCAL_RANK": str(index)}
        process = FORKS.Process(target=_work, args=(environment, file, work, args))
        process.start()
        processes.append(process)
    codes = []
    for process in processes:
        process.join(_PATIENCE)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise AssertionError(f"hung: {[file.read_text() for file in files]}")
        codes.append(process.exitcode)
    return [Ended(code, file.read_text()) for code, file in zip(codes, files, strict=True)]


def command(*words: str) -> None:
    """Run the command line."""
    cli.main(words)


def command_with_data(data: list[str], *words: str) -> None:
    """Run the command line, each process with its own `--data`."""
    cli.main([*words, "--data", data[_index()]])


def train_and_signal(
    arguments: dict[str, Any], step: int, signals: dict[int, signal.Signals]
) -> None:
    """Train; after a step, send some of the processes a signal."""

    def send(**kwargs: Any) -> None:
        if _index() in signals:
            os.kill(os.getpid(), signals[_index()])

    gluetune.train(**arguments, callbacks=[At("on_step_end", step, send)], progress=True)


def train_and_fail(arguments: dict[str, Any], step: int, failing: int) -> None:
    """Train; in one of the processes, run out of disk after a step. The CLI reports it."""

    def fail(**kwargs: Any) -> None:
        if _index() == failing:
            raise StorageError("There is no room at all.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gluetune.training.run.Extras", _with_callback(At("on_step_end", step, fail)))
        words = ["train", arguments.pop("task")]
        for name, value in arguments.items():
            words += [f"--{name.replace('_', '-')}", str(value)]
        cli.main(words)


def train_in_float64(arguments: dict[str, Any], weights: Path) -> None:
    """Train in double precision, and have the first process write the last weights."""

    def load_double(*args: Any, **kwargs: Any) -> Any:
        classifier = load_classifier(*args, **kwargs)
        classifier.model.double()
        return classifier

    def save(**kwargs: Any) -> None:
        state = kwargs["model"].state_dict()
        save_file({name: value.clone().contiguous() for name, value in state.items()}, weights)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gluetune.training.preflight.load_classifier", load_double)
        callbacks = [At("on_train_end", None, save)] if _index() == 0 else []
        gluetune.train(**arguments, callbacks=callbacks, progress=False)


def _with_callback(callback: At) -> Callable[..., Any]:
    from gluetune.training.job import Extras

    return lambda callbacks, *others, **named: Extras((*callbacks, callback), *others, **named)


def _index() -> int:
    return int(os.environ.get("RANK", "0"))


def _work(
    environment: dict[str, str], file: Path, work: Callable[..., None], args: tuple[Any, ...]
) -> None:
    os.environ |= environment
    torch.set_num_threads(1)
    cli._GRACE = 0.5  # no torchrun waits to end them all
    with file.open("w", encoding="utf-8") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
        try:
            work(*args)
        except KeyboardInterrupt:
            code = 130
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        except BaseException:  # noqa: BLE001  # what Python would do
            traceback.print_exc()
            code = 1
        else:
            code = 0
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
