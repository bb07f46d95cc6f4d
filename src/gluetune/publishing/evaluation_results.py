"""A run's scores as the Hub reads them: `model-index` in the card, and `.eval_results/*.yaml`.

`model-index` is the metadata of a model card (huggingface/hub-docs, modelcard.md). The files in
`.eval_results/` are what the Hub's model pages and leaderboards are made from
(https://huggingface.co/docs/hub/eval-results; the fields are in hub-docs' eval_results.yaml and in
`huggingface_hub.EvalResultEntry`): a data set of the Hub, the id of one of its tasks, one value.
They name a data set of the Hub, so only a score on GLUE itself is written there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gluetune.analysis.scores import is_held_out, scored_on
from gluetune.core.records import DataRecord, Record, epoch_choice, shown
from gluetune.core.tasks import TaskSpec
from gluetune.data.sources.glue_parquet import HUB_REPOSITORY, SAMPLES, is_glue
from gluetune.metrics.registry import hub_name

if TYPE_CHECKING:
    from gluetune.statistics.intervals import Interval


def protocol(record: Record) -> str:
    """Return the evaluation protocol of the score, in a few words."""
    return f"{scored_on(record)}, {epoch_choice(record)}, one seed ({record.seed})"


def model_index(name: str, record: Record, task: TaskSpec) -> list[dict[str, Any]]:
    """Return the card's `model-index`: every defined metric of the best epoch, by split."""
    if record.best is None or record.data is None:
        return []
    results = []
    for split, metrics in record.best.validation.metrics.items():
        values = [
            {
                "type": hub_name(metric),
                "name": task.metric_title(metric),
                "value": value,
            }
            for metric, value in metrics.items()
            if value is not None
        ]
        if values:
            results.append(
                {
                    "task": dict(zip(("type", "name"), task.kind.hub_task, strict=True)),
                    "dataset": _dataset(record.data, task, split),
                    "metrics": values,
                }
            )
    return [{"name": name, "results": results}] if results else []


def _dataset(data: DataRecord, task: TaskSpec, split: str) -> dict[str, str]:
    """Return the data set's name on the Hub for GLUE itself, otherwise a local name."""
    if is_glue(data, task):
        return {
            "name": f"GLUE {task.hub_config}",
            "type": HUB_REPOSITORY,
            "config": task.hub_config,
            "split": split,
        }
    source = "gluetune-sample" if data.source in SAMPLES else "local"
    words = "the sample data of gluetune" if data.source in SAMPLES else "own data"
    return {"name": f"{task.name}, {words}", "type": source, "config": task.name, "split": split}


def results_file(
    record: Record, task: TaskSpec, interval: Interval | None
) -> tuple[str, list[dict[str, Any]]] | None:
    """Return name and content of the file in `.eval_results/`; None for a score not on GLUE.

    The value is the task's score, from 0 to 1. The Hub stores one value per task, and shows it on a
    leaderboard once the data set is a registered benchmark.
    """
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    best, data = record.best, record.data
    if best is None or data is None or best.validation.score is None or is_held_out(record):
        return None
    if not is_glue(data, task):
        return None
    notes = [protocol(record)]
    names = [name for name in best.validation.flat() if name.split(" ")[-1] in task.metrics]
    if len(names) > 1:
        notes.append(f"mean of {', '.join(map(task.metric_title, names))}")
    if interval is not None:
        doubt = f", unreliable: {interval.reason}" if interval.reason else ""
        between = f"{shown(interval.low)} to {shown(interval.high)}"
        notes.append(f"{interval.level:.0%} interval {between}{doubt}")
    entry = EvalResultEntry(
        dataset_id=HUB_REPOSITORY,
        task_id=task.hub_config,
        value=best.validation.score,
        date=record.updated,
        notes="; ".join(notes),
    )
    return f".eval_results/glue-{task.name}.yaml", eval_result_entries_to_yaml([entry])
