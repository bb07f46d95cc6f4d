"""The jobs of a suite, their settings and their costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gluetune.core.config import TrainConfig
from gluetune.core.published import get_recipe
from gluetune.core.records import Status
from gluetune.core.runs import model_slug
from gluetune.core.suites import JobRecord, SuiteFolder, SuiteRecord, SuiteRequest
from gluetune.core.tasks import get_task
from gluetune.data.sources import SAMPLES, sample_rows
from gluetune.experiments.folders import digest
from gluetune.training.settings import over

SOURCE_TASK = "mnli"
FROM_MNLI = ("rte", "mrpc", "stsb")
"""Tasks that `--mnli-init` starts from MNLI's model, as ModernBERT does (arXiv 2412.13663)."""

_WORDS = {
    "cola": 8,
    "sst2": 9,
    "mrpc": 44,
    "stsb": 20,
    "qqp": 22,
    "mnli": 30,
    "qnli": 36,
    "rte": 52,
    "wnli": 28,
}
"""Mean number of words of GLUE's first 20,000 training examples, to estimate the cost of jobs."""

_EVALUATION = 1 / 3
"""Cost of an example in evaluation, relative to training."""


def plan(request: SuiteRequest) -> list[JobRecord]:
    """Return the jobs in the order of the request: by task, then by seed."""
    return [
        JobRecord(
            task=task,
            seed=seed,
            after=f"{SOURCE_TASK}-s{seed}" if request.mnli_init and task in FROM_MNLI else None,
        )
        for task in request.tasks
        for seed in request.seeds
    ]


def replan(record: SuiteRecord, request: SuiteRequest) -> None:
    """Set the seeds of a suite to those of `request`; it keeps finished jobs of other seeds."""
    known = {job.name: job for job in record.jobs}
    finished = {name for name, job in known.items() if job.state is Status.FINISHED}
    wanted = {*request.seeds, *(known[name].seed for name in finished)}
    seeds = dict.fromkeys((*record.request.seeds, *request.seeds))
    every = request.model_copy(update={"seeds": tuple(seed for seed in seeds if seed in wanted)})
    record.request = every
    record.jobs = [
        known.get(job.name, job)
        for job in plan(every)
        if job.seed in request.seeds or job.name in finished
    ]


def default_name(request: SuiteRequest, checkpoint: str) -> str:
    """Return `CHECKPOINT-HASH`; the hash is of the settings that differ from their defaults."""
    default: dict[str, Any] = {"recipe": None, "mnli_init": False, "settings": {}}
    given = {
        name: value
        for name, value in request.requested().items()
        if name not in default or value != default[name]
    }
    return f"{model_slug(checkpoint)}-{digest(given)}"


def settings_of(request: SuiteRequest, task: str) -> dict[str, Any]:
    """Return a task's settings: the recipe's, overridden by those of the request."""
    recipe = get_recipe(request.recipe).settings(task) if request.recipe else {}
    return over(recipe, request.settings)


def train_arguments(
    record: SuiteRecord, job: JobRecord, folder: SuiteFolder, machine: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of `train` for a job. `machine`: settings that do not affect scores.

    A job that starts from another job's model gets a new head, since the classes differ.
    """
    request = record.request
    settings = settings_of(request, job.task)
    if job.after is not None:
        settings.pop("revision", None)
        settings.pop("label_order", None)
        source = {"model": str((folder.path / job.after / "model").resolve()), "new_head": True}
    else:
        source = {"model": request.model}
        if record.commit is not None:
            source["revision"] = record.commit
    return {
        **machine,
        **settings,
        **source,
        "task": job.task,
        "seed": job.seed,
        "data": request.data,
        "fraction": request.fraction,
        "output": str(folder.run(job)),
    }


def costs(request: SuiteRequest) -> dict[str, float]:
    """Estimate each job's cost, to order them: words in training and, weighted, in evaluation."""
    return {job.name: _cost(request, job.task) for job in plan(request)}


def _cost(request: SuiteRequest, task: str) -> float:
    spec = get_task(task)
    rows = _rows(request.data, task)
    evaluated = sum(rows[split] for split in spec.validation_splits)
    epochs = settings_of(request, task).get("epochs", TrainConfig.model_fields["epochs"].default)
    trained = rows[spec.train_split or "train"] * request.fraction
    return float(epochs) * (trained + _EVALUATION * evaluated) * _WORDS[spec.hub_config]


def _rows(data: str, task: str) -> Mapping[str, int]:
    """Return the number of rows of each split: the sample's, else GLUE's."""
    spec = get_task(task)
    if data in SAMPLES:
        return {split: sample_rows(spec, split) for split in spec.splits}
    return spec.rows
