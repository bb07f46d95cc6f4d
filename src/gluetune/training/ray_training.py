"""Distributed training of one run on a Ray cluster, by Ray Train.

Ray starts the processes, and restarts all of them if one dies; they then resume the run from its
checkpoint.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from gluetune.core import errors
from gluetune.core.command_lines import options
from gluetune.core.errors import Finding, GluetuneError, ProcessLostError, TrainingError
from gluetune.core.files import write_json
from gluetune.core.runs import Run, RunFolder
from gluetune.core.text import first_line
from gluetune.parallel.ray import Cluster, connect

_RESTARTS = 2
_FAILURE = "failure.json"


def train_on_cluster(
    train: Callable[..., Run],
    cluster: Cluster,
    processes: int,
    folder: Path,
    arguments: Mapping[str, Any],
    *,
    resumed: Collection[str],
) -> Run:
    """Call `gluetune.train` with `arguments` on `processes` workers; return the finished run.

    `folder` is the run's, on storage that all machines share; an unfinished run there is resumed,
    with the arguments named in `resumed`.
    Raises GluetuneError as `train` does, and if the cluster cannot be reached.
    """
    connect(cluster)
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    # Absolute, since workers have other working folders.
    own = folder.absolute().parent / f".ray-{folder.name}"
    resources = {"CPU": cluster.cpus, **({"GPU": cluster.gpus} if cluster.gpus else {})}
    trainer = TorchTrainer(
        _work,
        train_loop_config={
            "folder": str(folder.absolute()),
            "from": str(Path.cwd()),
            "train": train,
            "arguments": dict(arguments),
            "resumed": list(resumed),
            "failure": str(own / _FAILURE),
        },
        scaling_config=ScalingConfig(
            num_workers=processes, use_gpu=bool(cluster.gpus), resources_per_worker=resources
        ),
        run_config=RunConfig(
            name=folder.name,
            storage_path=str(own),
            failure_config=FailureConfig(max_failures=_RESTARTS),
        ),
    )
    try:
        own.mkdir(parents=True, exist_ok=True)
        trainer.fit()
        raise_reported(own / _FAILURE)
    except Exception as error:
        if isinstance(error, GluetuneError) or not type(error).__module__.startswith("ray."):
            raise
        raise TrainingError(
            f"Ray could not complete this run: {first_line(error)}",
            hint=f"Resume {folder} by the same command with " + options(resume=folder),
        ) from error
    finally:
        shutil.rmtree(own, ignore_errors=True)
    return Run(folder)


def report_failure(path: Path, error: GluetuneError) -> None:
    """Write a GluetuneError, unless another process reports it, for `raise_reported`."""
    if not error.reported_elsewhere:
        findings = [[finding.message, finding.hint] for finding in error.findings]
        write_json(path, {"kind": type(error).__name__, "findings": findings})


def raise_reported(path: Path) -> None:
    """Raise the error that was written to `path`, if any."""
    if path.exists():
        report = json.loads(path.read_text(encoding="utf-8"))
        kind: Any = getattr(errors, report["kind"], TrainingError)
        raise kind.of([Finding(*finding) for finding in report["findings"]])


def _work(given: Mapping[str, Any]) -> None:
    """Train: the function of every worker.

    A GluetuneError is written to a file instead of raised: it would recur after a restart.
    """
    with suppress(OSError):
        os.chdir(given["from"])
    folder = Path(given["folder"])
    train, arguments = given["train"], dict(given["arguments"])
    try:
        if RunFolder(folder).record.exists():
            again = {name: arguments[name] for name in given["resumed"]}
            train(resume=folder, progress=False, **again)
        else:
            train(**arguments, output=folder, progress=False)
    except ProcessLostError:
        raise  # Ray restarts such a worker
    except GluetuneError as error:
        report_failure(Path(given["failure"]), error)
