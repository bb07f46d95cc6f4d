"""Preflight checks: find every mistake before compute is spent, and report them together.

The flags, the data, the checkpoint and transformers' arguments are checked independently, and
their findings are merged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import torch

from gluetune.core.config import ALL_ROWS, ComputePath, Quantization, TrainConfig, weights_by_label
from gluetune.core.errors import ConfigurationError, Findings
from gluetune.core.records import DataRecord, ModelRecord
from gluetune.core.settings_files import join_names
from gluetune.core.tasks import HELD_OUT, TaskSpec, get_task
from gluetune.data.encoding import Encoded, encode_parts, tokenizer_processes, unknown_note
from gluetune.data.exclusions import EXCLUDED, read_exclusions
from gluetune.data.own.source import TRAIN, TUNING, OwnSource
from gluetune.data.sampling import take_fraction
from gluetune.data.sources import Source, folded, read_train, source_of, without_held_out
from gluetune.data.tables import fingerprint, label_array, notes_of, with_notes
from gluetune.inference.devices import device, resolve_precision
from gluetune.inference.logits import ResolvedPrecision
from gluetune.inference.scoring import ScoredSplit
from gluetune.models.adapters import base_of
from gluetune.models.checkpoints import Checkpoint, find_checkpoint
from gluetune.models.classifiers import Classifier, load_classifier
from gluetune.models.fast.paths import resolve_compute
from gluetune.models.tokenizers import check_length
from gluetune.parallel.collectives import ALONE, Processes
from gluetune.training.arguments import check_set, training_arguments
from gluetune.training.auto_recipe import resolve_auto
from gluetune.training.methods import get_method
from gluetune.training.tracking import require_tracker

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")

_TOKENS = 4096
"""Tokens that a micro-batch of windows may have in any case."""


@dataclass(frozen=True)
class Prepared:
    """A run that has passed all checks, with its data and model loaded."""

    config: TrainConfig
    """With every `auto` resolved."""
    task: TaskSpec
    precision: ResolvedPrecision
    device: torch.device
    checkpoint: Checkpoint
    classifier: Classifier
    train_table: pa.Table
    validation_tables: Mapping[str, pa.Table]
    train: Encoded
    validation: Mapping[str, ScoredSplit]
    tuning: ScoredSplit | None
    """Rows on which the thresholds of several labels are tuned."""
    class_weights: torch.Tensor | None
    data: DataRecord
    model: ModelRecord
    notes: Sequence[str] = ()
    """Why settings were chosen."""


@dataclass(frozen=True)
class _Tables:
    source: Source
    task: TaskSpec
    train: pa.Table
    validation: Mapping[str, pa.Table]
    tuning: Mapping[str, pa.Table]
    """By the name `TUNING`; empty if there is no such split."""
    whole: pa.Table | None = None
    """The rows of all folds, which are encoded once for the runs of all."""
    rows: Mapping[str, NDArray[np.intp]] = field(default_factory=dict)
    """Which of `whole` are in a split."""

    @property
    def all(self) -> dict[str, pa.Table]:
        return {"train": self.train, **self.validation, **self.tuning}


def prepare(
    config: TrainConfig,
    *,
    own_metrics: bool = False,
    processes: Processes = ALONE,
    progress: bool = False,
) -> Prepared:
    """Load and check everything that a run needs. `own_metrics`: the user gives `compute_metrics`.

    `progress` shows a bar on standard error while many rows are tokenized.

    Raises one GluetuneError with every finding of all processes.
    """
    prepared = processes.gather_errors(lambda: _prepare(config, own_metrics, processes, progress))
    processes.gather_errors(lambda: _check_agreement(prepared, processes))
    return prepared


def _prepare(
    config: TrainConfig, own_metrics: bool, processes: Processes, progress: bool
) -> Prepared:
    config = _with_defaults(config)
    found = Findings()
    found.attempt(lambda: check_set(config.training_args))
    found.attempt(lambda: get_method(config.method).check(config))
    quantization: Quantization = "none" if found.errors else config.quantization
    chosen = device(use_cpu=bool(config.training_args.get("use_cpu")))
    precision = found.attempt(lambda: resolve_precision(config.precision, chosen))
    arguments_can_be_tried = not found.errors
    if config.track is not None:
        tracker = config.track
        found.attempt(lambda: require_tracker(tracker))
    task = _known_task(config)
    if task is not None:
        known = task
        found.attempt(lambda: _check_metric(config, known, own_metrics))
    tables = found.attempt(lambda: _read(config, task))
    task = tables.task if tables is not None else task
    checkpoint = found.attempt(lambda: _checkpoint(config))
    classifier = None
    config, notes = _chosen(config, tables, checkpoint)
    if checkpoint is not None and task is not None:
        settled = task
        classifier = found.attempt(lambda: _classifier(config, settled, checkpoint, quantization))
    compute = None
    if classifier is not None:
        compute = found.attempt(lambda: _compute(config, classifier))
    resolved = _resolved(config, precision, compute, tables, checkpoint, classifier, processes)
    if arguments_can_be_tried:
        found.attempt(lambda: training_arguments(resolved, Path()))
    with processes.main_first():
        if found.errors or not (precision and tables and checkpoint and classifier):
            raise found.error()
        prepared = _prepared(
            resolved, tables.task, precision, chosen, tables, checkpoint, classifier, progress
        )
    if config.micro_batch_size is None:
        prepared = replace(prepared, config=_bounded(prepared.config, prepared.train))
    return replace(prepared, notes=notes)


def _with_defaults(config: TrainConfig) -> TrainConfig:
    """Give settings that were not given the defaults of the method."""
    defaults = get_method(config.method).defaults
    changed = {name: it for name, it in defaults.items() if name not in config.model_fields_set}
    return config.model_copy(update=changed)


def _chosen(
    config: TrainConfig, tables: _Tables | None, checkpoint: Checkpoint | None
) -> tuple[TrainConfig, list[str]]:
    """Choose the settings that were not given, if they are to be chosen."""
    if tables is None or checkpoint is None:
        return config, []
    classes = len(tables.task.labels) if tables.task.kind.is_weighted else 0
    return resolve_auto(
        config,
        checkpoint=base_of(checkpoint).folder,
        rows=len(tables.train),
        classes=classes,
    )


def _known_task(config: TrainConfig) -> TaskSpec | None:
    """Return the task, unless it is inferred from the data."""
    if config.is_own:
        return None
    return get_task(config.task).with_extra_metrics(config.extra_metrics or ())


def _prepared(
    config: TrainConfig,
    task: TaskSpec,
    precision: ResolvedPrecision,
    device: torch.device,
    tables: _Tables,
    checkpoint: Checkpoint,
    classifier: Classifier,
    progress: bool,
) -> Prepared:
    def encoded_parts(
        table: pa.Table, parts: Mapping[str, NDArray[np.intp] | None]
    ) -> dict[str, Encoded]:
        workers = tokenizer_processes(len(table), config.threads or 1)
        return encode_parts(
            table,
            parts,
            task,
            classifier.tokenizer,
            max_length=config.max_length,
            outputs=classifier.outputs,
            processes=workers,
            progress=progress and workers > 1,
        )

    encoded = {} if tables.whole is None else encoded_parts(tables.whole, tables.rows)
    for split, table in tables.all.items():
        if split not in encoded:
            encoded |= encoded_parts(table, {split: None})
    return Prepared(
        config=config,
        task=task,
        precision=precision,
        device=device,
        checkpoint=checkpoint,
        classifier=classifier,
        train_table=tables.train,
        validation_tables=tables.validation,
        train=encoded["train"],
        validation={
            split: ScoredSplit.of(table, task, encoded[split])
            for split, table in tables.validation.items()
        },
        tuning=next(
            (ScoredSplit.of(table, task, encoded[split]) for split, table in tables.tuning.items()),
            None,
        ),
        class_weights=_class_weights(config, task, tables.train, classifier),
        data=_data_record(config, tables, encoded, checkpoint),
        model=_model_record(config, task, checkpoint, classifier),
    )


def _bounded(config: TrainConfig, train: Encoded) -> TrainConfig:
    """Let a micro-batch of windows have no more tokens than a batch of texts that are cut."""
    if train.window is None:
        return config
    windows = -(-int(train.lengths.max(initial=1)) // train.window)
    tokens = max(config.batch_size * train.window, _TOKENS)
    size = max(1, tokens // (windows * train.window))
    assert config.micro_batch_size is not None, "a resolved setting"
    return config.model_copy(update={"micro_batch_size": min(config.micro_batch_size, size)})


def _class_weights(
    config: TrainConfig, task: TaskSpec, train: pa.Table, classifier: Classifier
) -> torch.Tensor | None:
    if config.class_weights == "none":
        return None
    if config.class_weights == "balanced":
        labels = label_array(train, task)
        return torch.from_numpy(task.kind.class_weights(labels, classifier.outputs))
    stated = weights_by_label(config.class_weights)
    return torch.from_numpy(task.kind.stated_weights(task.labels, stated, classifier.outputs))


def _check_metric(config: TrainConfig, task: TaskSpec, own_metrics: bool) -> None:
    known = ("score", *task.all_metrics, "loss")
    if not own_metrics and config.metric not in known:
        raise ConfigurationError(
            f"--metric {config.metric}: {task.name} has no such metric.",
            hint=f"Metrics: {', '.join(known)}.",
        )


def _read(config: TrainConfig, task: TaskSpec | None) -> _Tables:
    """Read the splits; raise one error with the problems of all.

    A held-out part of train replaces the validation set, which is then not read.
    """
    source = source_of(config)
    if isinstance(source, OwnSource):
        task = source.task
    assert task is not None, "a task that is not the user's own is known by name"
    if config.folds is not None:
        return _read_fold(config, source, task)
    found = Findings()
    validation = () if config.holdout else task.validation_splits
    names = (task.train_split or TRAIN, *validation)
    tables = {name: found.attempt(partial(source.read, task, name)) for name in validation}
    tables[names[0]] = found.attempt(lambda: read_train(source, task, config))
    found.raise_any()
    read = {name: table for name, table in tables.items() if table is not None}
    train = read.pop(names[0])
    if config.holdout:
        train, read[HELD_OUT] = without_held_out(source, train, task, config)
    train = take_fraction(train, task, config.fraction, config.rows_seed)
    _check_training_rows(config, task, train)
    tuning = {}
    if isinstance(source, OwnSource) and TUNING in source.own.tables:
        tuning = {TUNING: source.own.tables[TUNING]}
    return _Tables(source, task, train, read, tuning)


def _read_fold(config: TrainConfig, source: Source, task: TaskSpec) -> _Tables:
    """Read the rows of the run on one fold, or on all rows, which is scored on validation rows.

    Of text of the user's own there may be none.
    """
    rows = folded(source, task, config)
    parts = rows.parts(task, config)
    tables = {name: rows.table.take(pa.array(part)) for name, part in parts.items()}
    train = tables.pop(TRAIN)
    if config.fold == ALL_ROWS:
        there = source.splits(task)
        tables |= {
            name: source.read(task, name) for name in task.validation_splits if name in there
        }
    tuning = {TUNING: tables.pop(TUNING)} if TUNING in tables else {}
    train = with_notes(train, notes_of(rows.table))
    _check_training_rows(config, task, train)
    return _Tables(source, task, train, tables, tuning, rows.table, parts)


def _check_training_rows(config: TrainConfig, task: TaskSpec, train: pa.Table) -> None:
    """Raise ConfigurationError where no batch is left, or the loss needs what the task lacks."""
    if config.training_args.get("dataloader_drop_last") and len(train) < config.batch_size:
        raise ConfigurationError(
            f"--set dataloader_drop_last: the training set has {len(train)} examples, fewer than "
            f"one batch of {config.batch_size}, so all would be dropped.",
            hint=f"Leave it out, or type: --batch-size {len(train)}",
        )
    _check_loss(config, task)


def _check_loss(config: TrainConfig, task: TaskSpec) -> None:
    """Refuse options of the loss that need classes."""
    given = []
    if config.class_weights != "none":
        given.append(f"--class-weights {config.class_weights}")
    if config.focal_loss:
        given.append(f"--focal-loss {config.focal_loss:g}")
    if config.label_smoothing:
        given.append(f"--label-smoothing {config.label_smoothing:g}")
    if given and not task.kind.is_weighted:
        raise ConfigurationError(
            f"{' and '.join(given)}: {task.name} is regression, without classes.",
            hint="Leave it out.",
        )
    unknown = sorted({*weights_by_label(config.class_weights)} - {*task.labels})
    if unknown:
        raise ConfigurationError(
            f"--class-weights {config.class_weights}: {task.name} has no label "
            f"{', '.join(unknown)}.",
            hint=f"Its labels: {join_names(task.labels)}.",
        )


def _checkpoint(config: TrainConfig) -> Checkpoint:
    return find_checkpoint(
        config.model, revision=config.revision, trust_remote_code=config.trust_remote_code
    )


def _classifier(
    config: TrainConfig, task: TaskSpec, checkpoint: Checkpoint, quantization: Quantization
) -> Classifier:
    classifier = load_classifier(
        checkpoint,
        task,
        seed=config.seed,
        new_head=config.new_head,
        label_order=None if task.kind.label_order_names_classes else config.label_order,
        quantization=quantization,
        long_texts=config.reading,
    )
    check_length(config.max_length, classifier.limit, checkpoint.name)
    _check_long_texts(config, task, classifier)
    get_method(config.method).check_model(config, classifier.model)
    return classifier


def _check_long_texts(config: TrainConfig, task: TaskSpec, classifier: Classifier) -> None:
    """Refuse head and tail or windows where a text cannot be read so."""
    if config.reading is None:
        return
    flag = f"--long-texts {config.long_texts}"
    limit = config.max_length or classifier.limit
    if len(task.text_columns) == 2:
        raise ConfigurationError(
            f"{flag}: {task.name} has pairs of texts, and only one text can be read so.",
            hint="Leave it out.",
        )
    if limit is None:
        raise ConfigurationError(
            f"{flag}: the model has no maximum length.", hint="Type for instance: --max-length 512"
        )
    if config.long_texts == "windows" and classifier.tokenizer.padding_side == "left":
        raise ConfigurationError(
            f"{flag}: {type(classifier.model).__name__} is padded on the left.",
            hint="Type: --long-texts head-tail",
        )
    room = limit - classifier.tokenizer.num_special_tokens_to_add(pair=False)
    if config.long_texts == "windows" and config.window_overlap >= room:
        raise ConfigurationError(
            f"--window-overlap {config.window_overlap}: a window has room for {room} tokens.",
            hint=f"Type for instance: --window-overlap {room // 4}",
        )


def _compute(config: TrainConfig, classifier: Classifier) -> ComputePath:
    """Resolve the execution path. Gradient checkpointing recomputes layers without the layout."""
    again = any(
        config.training_args.get(f"{kind}_checkpointing") for kind in ("activation", "gradient")
    )
    if again and config.compute == "auto":
        return "grouped"
    return resolve_compute(config.compute, classifier.model)


def _resolved(
    config: TrainConfig,
    precision: ResolvedPrecision | None,
    compute: ComputePath | None,
    tables: _Tables | None,
    checkpoint: Checkpoint | None,
    classifier: Classifier | None,
    processes: Processes,
) -> TrainConfig:
    """Replace every `auto` by its resolved value, as far as it is known."""
    found = {
        "epochs": tables and _epochs(config, len(tables.train)),
        "precision": precision,
        "compute": compute,
        **_resolved_data(config, tables),
        "model": checkpoint and _model_setting(config, checkpoint),
        "revision": checkpoint and checkpoint.commit,
        "max_length": config.max_length or (classifier and classifier.limit),
        "micro_batch_size": config.micro_batch_size or -(-config.batch_size // processes.count),
        "exclude": config.exclude and str(Path(config.exclude).expanduser().resolve()),
        "threads": config.threads or torch.get_num_threads(),
        "processes": processes.count,
    }
    return config.model_copy(
        update={name: value for name, value in found.items() if value is not None}
    )


def _epochs(config: TrainConfig, rows: int) -> float:
    """Return the epochs, of which few rows need more for `min_steps`."""
    if config.min_steps is None:
        return config.epochs
    drops = config.training_args.get("dataloader_drop_last")
    per_epoch = rows // config.batch_size if drops else -(-rows // config.batch_size)
    return max(config.epochs, float(-(-config.min_steps // max(1, per_epoch))))


def _check_agreement(prepared: Prepared, processes: Processes) -> None:
    """Refuse processes whose configuration or data differ from the main process's."""
    decided = {
        **prepared.config.model_dump(exclude={"output"}),
        **{f"the {split} data": digest for split, digest in prepared.data.fingerprints.items()},
    }
    first = processes.broadcast_from_main(lambda: decided)
    if other := [name for name, value in decided.items() if first[name] != value]:
        raise ConfigurationError(
            f"This process differs from the first one in {', '.join(other)}.",
            hint="Give all machines the same data, checkpoint, hardware and environment.",
        )


def _resolved_data(config: TrainConfig, tables: _Tables | None) -> dict[str, Any]:
    """Return where the data are, so that config.yaml finds them from any folder."""
    if tables is None:
        return {}
    if not isinstance(tables.source, OwnSource):
        return {"data": tables.source.name}
    own = tables.source.own
    # A single metric is stored in `metric` alone, as in earlier versions.
    scored_by = {} if config.metrics else {"metric": own.labels.metrics[0]}
    files = {
        name: str(Path(given).expanduser().resolve())
        for name in ("train_file", "validation_file", "test_file")
        if (given := getattr(config, name)) is not None
    }
    return {
        **files,
        "text": own.task.text_columns[0],
        "label": config.label or (own.task.label_column,),  # the default name, if it was not given
        "kind": own.labels.kind.name,
        **scored_by,
        "positive": own.labels.positive,
    }


def _model_setting(config: TrainConfig, checkpoint: Checkpoint) -> str:
    return "minilm" if config.model == "minilm" and not checkpoint.commit else checkpoint.name


def _data_record(
    config: TrainConfig, tables: _Tables, encoded: Mapping[str, Encoded], checkpoint: Checkpoint
) -> DataRecord:
    unknown = [unknown_note(found, split, checkpoint.name) for split, found in encoded.items()]
    return DataRecord(
        source=tables.source.name,
        rows={split: len(table) for split, table in tables.all.items()},
        fingerprints={split: fingerprint(table) for split, table in tables.all.items()},
        truncated={split: found.truncated for split, found in encoded.items()},
        notes=[
            *(note for table in tables.all.values() for note in notes_of(table)),
            *filter(None, unknown),
        ],
        left_out=_left_out(config, tables),
    )


def _left_out(config: TrainConfig, tables: _Tables) -> dict[str, dict[str, int]]:
    if not isinstance(tables.source, OwnSource):
        excluded = read_exclusions(config)
        return {tables.source.name: {EXCLUDED: len(excluded.rows)}} if excluded else {}
    counts = tables.source.own.problems.skipped
    return {name: dict(kinds) for name, kinds in counts.items()}


def _model_record(
    config: TrainConfig, task: TaskSpec, checkpoint: Checkpoint, classifier: Classifier
) -> ModelRecord:
    return ModelRecord(
        name=checkpoint.name,
        commit=checkpoint.commit,
        architecture=type(classifier.model).__name__,
        parameters=classifier.parameters,
        new_weights=list(classifier.new_weights),
        label_map=dict(zip(task.labels or ("score",), classifier.outputs, strict=True)),
        max_length=config.max_length,
    )
