"""The run folder: its parts, and a run opened for reading.

```
runs/cola-all-minilm-l6-v2-s42-20260101-120000/
  config.yaml      everything that was decided; `gluetune train --config` repeats it
  record.json      what happened
  model/           the best model, as save_pretrained writes it
  predictions/     validation.parquet: idx, label, prediction, logits
  intervals.json   intervals of the scores, computed once for the same predictions
  baseline/        validation.parquet: what a bag of words predicts, for text of the user's own
  report.html      the run as one page
  onnx/            the model as `gluetune export` made it: model.onnx in float32, model_int8.onnx
                   with 8-bit weights if requested, config and tokenizer as save_pretrained writes
                   them, and export.json: how its predictions compare with PyTorch's
  checkpoints/     what `--resume` needs, while the run is unfinished
  folds.json       the cross-validation that the run is made of: see `gluetune.core.folds`
```
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Unpack

from pydantic import BaseModel, ConfigDict

from gluetune.core.command_lines import command_line
from gluetune.core.config import MACHINE_SETTINGS, TrainConfig, make_config
from gluetune.core.errors import RunError
from gluetune.core.files import (
    hint_of_runs,
    make_folder,
    names_hub_model,
    restore_folder,
    write_json,
)
from gluetune.core.records import (
    DataRecord,
    OwnTask,
    Predictions,
    Record,
    Status,
    kept_fingerprint,
    read_record,
    read_versioned,
)
from gluetune.core.settings_files import read_settings
from gluetune.core.tables import Column, Table
from gluetune.core.tasks import TaskSpec, get_task

if TYPE_CHECKING:
    import pyarrow as pa

    from gluetune.analysis.audit import Audit
    from gluetune.analysis.comparison import Comparison
    from gluetune.analysis.evaluation import Evaluation
    from gluetune.core.folds import FoldsResult
    from gluetune.core.keywords import (
        EvaluateKeywords,
        ExportKeywords,
        LoadKeywords,
        PredictKeywords,
        ServeKeywords,
    )
    from gluetune.inference.file_predictions import FilePredictions
    from gluetune.inference.predictor import Predictor
    from gluetune.publishing.upload import PushResult


class RunFolder:
    """Paths of the parts of a run folder. Nothing is read or created."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config: Path = path / "config.yaml"
        self.record: Path = path / "record.json"
        self.model: Path = path / "model"
        self.predictions: Path = path / "predictions"
        self.intervals: Path = path / "intervals.json"
        self.baseline: Path = path / "baseline"
        self.checkpoints: Path = path / "checkpoints"
        self.onnx: Path = path / "onnx"
        self.curve: Path = path / "curve"
        self.folds: Path = path / "folds.json"

    def predictions_on(self, split: str) -> Path:
        """Return the file of the predictions on a split."""
        return self.predictions / f"{split}.parquet"


class Run:
    """A run on disk. Functions that take a run's folder also take a Run.

    Raises RunError when `path` holds none.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path: Path = Path(path)
        self.folder: RunFolder = RunFolder(self.path)
        for replaced in (self.folder.model, self.folder.onnx):
            restore_folder(replaced)
        if names_hub_model(path):
            model_alone = (
                "For a model on the Hub, which has no record, settings or kept predictions: "
            )
            raise RunError(
                f"There is no run {path}.",
                hint=hint_of_runs(self.path, ["record.json"])
                or model_alone + command_line("evaluate", path),
            )
        self._record = read_record(self.folder.record)

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"Run('{self.path}', {self.status}, score={self.score})"

    def _repr_html_(self) -> str:
        record = self._record
        values = {
            "task": self.task.title,
            "model": record.model.name if record.model else "unknown",
            "status": self.status,
            **(record.best.validation.flat() if record.best else {}),
        }
        columns = (Column(""), Column("value", "number", align="left", missing="undefined"))
        return Table.of(str(self.path), columns, list(values.items())).to_html()

    def load(self, **options: Unpack[LoadKeywords]) -> Predictor:
        """Load the best model, to be called with text: `gluetune.load` of this run."""
        loaded: Predictor = verb("load")(self, **options)
        return loaded

    def evaluate(self, **options: Unpack[EvaluateKeywords]) -> Evaluation:
        """Score the run on labelled splits: `gluetune.evaluate` of this run."""
        found: Evaluation = verb("evaluate")(self, **options)
        return found

    def predict(
        self,
        file: str | PathLike[str],
        *,
        output: str | PathLike[str],
        **options: Unpack[PredictKeywords],
    ) -> FilePredictions:
        """Predict every row of a file: `gluetune.predict` with this run."""
        found: FilePredictions = verb("predict")(self, file, output=output, **options)
        return found

    def report(self, output: str | PathLike[str] | None = None) -> Path:
        """Write the run's page and return its path: `gluetune.report` of this run."""
        page: Path = verb("report")(self, output=output)
        return page

    def compare(self, *others: str | Path | Run) -> Comparison:
        """Compare the run with others: `gluetune.compare`, this run first."""
        found: Comparison = verb("compare")(self, *others)
        return found

    def audit(self, *, output: str | PathLike[str] | None = None) -> Audit:
        """Find labels that are probably wrong: `gluetune.audit` of this run, trained with folds."""
        found: Audit = verb("audit")(self, output=output)
        return found

    def export(self, **options: Unpack[ExportKeywords]) -> ExportRecord:
        """Export the model to ONNX: `gluetune.export` of this run."""
        exported: ExportRecord = verb("export")(self, **options)
        return exported

    def push(self, repo: str, **options: Any) -> PushResult:
        """Publish the model on the Hub: `gluetune.push` of this run."""
        pushed: PushResult = verb("push")(self, repo, **options)
        return pushed

    def serve(self, **options: Unpack[ServeKeywords]) -> None:
        """Serve the model over HTTP until Ctrl-C: `gluetune.serve` of this run."""
        verb("serve")(self, **options)

    @property
    def folds(self) -> FoldsResult | None:
        """The cross-validation that the run is made of; None for any other run."""
        return verb("FoldsResult")(self.path) if self.folder.folds.exists() else None

    @property
    def record(self) -> Record:
        """What happened, as of when the run was opened."""
        return self._record

    @property
    def config(self) -> TrainConfig:
        """What was decided; of a run from before F1 had a choice, the class that it was of too."""
        config = make_config(read_settings(self.folder.config))
        if not config.is_own or config.positive is not None:
            return config
        return config.model_copy(update={"positive": self.task.positive_label})

    @property
    def task(self) -> TaskSpec:
        """What it was trained on: one of GLUE's tasks, or the user's own."""
        return self._record.spec

    @property
    def status(self) -> str:
        """`running`, `finished`, `failed`, `interrupted` or `pruned`."""
        return self._record.status.value

    @property
    def score(self) -> float | None:
        """The task's score at the best epoch, from 0 to 1; None while there is none."""
        return self._record.best.validation.score if self._record.best else None

    @property
    def history(self) -> list[dict[str, float | None]]:
        """One flat row per epoch, for a table: losses, score, and every metric by its name.

        Where a task has several validation splits, a metric's name starts with its split's.
        """
        return [
            {
                "epoch": epoch.epoch,
                "training loss": epoch.train_loss,
                "validation loss": epoch.validation_loss,
                "score": epoch.validation.score,
                **epoch.validation.flat(),
                **epoch.extra,
            }
            for epoch in self._record.epochs
        ]

    @property
    def model_path(self) -> Path:
        """Folder of the best model. Raises RunError while there is none."""
        if not self.folder.model.is_dir() and self.folder.folds.exists():
            raise RunError(
                f"{self.path} has no model: only its folds have been trained.",
                hint="To train one on all rows: "
                + command_line("train", config=self.folder.config, final="all"),
            )
        if not self.folder.model.is_dir() and self._record.status is Status.FINISHED:
            raise RunError(
                f"{self.path} has no model: a search keeps only that of its best trial.",
                hint="To make it again: " + command_line("train", config=self.folder.config),
            )
        if not self.folder.model.is_dir():
            raise RunError(
                f"{self.path} has no model yet: the run is {self.status}.",
                hint="Type: " + command_line("train", resume=self.path),
            )
        return self.folder.model

    def predictions(self, split: str = "validation") -> pa.Table:
        """Return the predictions on a split: idx, label, prediction, logits; in the data's order.

        Raises RunError when the split was not predicted, or its file is damaged.
        """
        import pyarrow.parquet as pq

        path = self.folder.predictions_on(split)
        if not path.exists():
            there = sorted(file.stem for file in self.folder.predictions.glob("*.parquet"))
            raise RunError(
                f"{self.path} has no predictions on '{split}'.",
                hint=f"There are: {', '.join(there) or 'none'}.",
            )
        try:
            return pq.read_table(path)
        except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
            raise RunError(
                f"{path} cannot be read: {str(error).splitlines()[0]}",
                hint="Remove it, and make it again: "
                + command_line("evaluate", self.path, split=split),
            ) from error

    def baseline_predictions(self, split: str, found: Predictions) -> Predictions | None:
        """Return the bag of words' predictions for the rows of `found`; None where not kept."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            kept = Predictions.of_table(pq.read_table(self.folder.baseline / f"{split}.parquet"))
        except (OSError, ValueError, KeyError, pa.ArrowException):
            return None
        if kept.labels.shape != found.labels.shape or (kept.labels != found.labels).any():
            return None
        return kept if (kept.index == found.index).all() else None

    def kept(self, name: str, fingerprint: str) -> Predictions | None:
        """Return the predictions kept as `name`, if they are of the data with this fingerprint.

        Raises RunError when they are there and cannot be read.
        """
        if not self.folder.predictions_on(name).exists():
            return None
        table = self.predictions(name)
        same = kept_fingerprint(table) == fingerprint
        return Predictions.of_table(table) if same else None


def verb(name: str) -> Any:
    """Return a public function or class of the package, whose module imports this one.

    `gluetune` itself is always imported before its modules, and finds the function by its name: so
    a run has the verbs as methods, and nothing here imports what is above.
    """
    return getattr(sys.modules["gluetune"], name)


def open_run(run: str | PathLike[str] | Run) -> Run:
    """Return a run, opened where it is given as its folder. Raises RunError where there is none."""
    return run if isinstance(run, Run) else Run(run)


def find_run(model: str | PathLike[str] | Run) -> Run | None:
    """Return the run that `model` is or names; None where it is not a run."""
    return open_run(model) if RunFolder(Path(model)).record.exists() else None


def recipe_of(run: Run, *, machine: bool = False) -> dict[str, Any]:
    """Return the settings that runs of one recipe have in common: all but seed and output.

    Metrics that are only reported are left out too, and settings of the machine unless `machine`.

    Where it started from another run's model, that model is known by the other's recipe, so that a
    suite's runs that started from MNLI's model of the same seed have one recipe.
    """
    left_out = {"seed", "output", "extra_metrics"} | (set() if machine else MACHINE_SETTINGS)
    settings = run.config.model_dump(exclude=left_out)
    source = Path(settings["model"])
    if source.name == "model" and RunFolder(source.parent).record.exists():
        settings["model"] = recipe_of(Run(source.parent), machine=machine)
    return settings


def scored_splits(run: Run) -> tuple[str, ...]:
    """Return the splits that a run was scored on: of a run in folds, its training set."""
    best = run.record.best
    return tuple(best.validation.metrics) if best is not None else run.task.validation_splits


def described_data(config: TrainConfig, data: DataRecord) -> str:
    """Return where the examples of a run are, and how many of each split."""
    places: dict[str, list[str]] = {}
    for split, count in data.rows.items():
        places.setdefault(config.file_of(split) or data.source, []).append(f"{split} {count:,}")
    return ", ".join(f"{place} ({', '.join(rows)} examples)" for place, rows in places.items())


def model_slug(model: str) -> str:
    """Return a checkpoint's name as a part of a folder's name."""
    return re.sub(r"[^a-z0-9.]+", "-", Path(model).name.lower()).strip("-.") or "model"


def claim_default_folder(task: str, model: str, seed: int) -> Path:
    """Make the folder that `default_folder` names, so that no other process takes it too."""
    while True:
        path = default_folder(task, model, seed)
        make_folder(path.parent)
        with suppress(FileExistsError):  # another run was faster: the next name is free
            path.mkdir()
            return path


def default_folder(task: str, model: str, seed: int) -> Path:
    """Return `runs/TASK-MODEL-sSEED-TIME`, which does not exist yet."""
    stem = f"{task}-{model_slug(model)}-s{seed}-{time.strftime('%Y%m%d-%H%M%S')}"
    path, count = Path("runs") / stem, 1
    while path.exists():
        count += 1
        path = Path("runs") / f"{stem}-{count}"
    return path


EXPORT_VERSION = 1

Variant = Literal["onnx", "onnx-int8"]
"""What runs: float32, or 8-bit weights."""

EXPORTED_FILES: dict[Variant, str] = {"onnx": "model.onnx", "onnx-int8": "model_int8.onnx"}


class ExportFolder:
    """Names of the files in an export's folder. Nothing is read or created."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record: Path = path / "export.json"

    def model(self, variant: Variant) -> Path:
        """Return the model's file."""
        return self.path / EXPORTED_FILES[variant]


class _Part(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)


class Checked(_Part):
    """Comparison of one exported file with PyTorch in float32, on the validation set."""

    variant: Variant
    megabytes: float
    largest_difference: float
    """Over all logits of all rows."""
    changed: int
    """Rows whose predicted label, or set of labels, is not PyTorch's; 0 for regression."""
    changed_beyond_ties: int
    """Those of them in which a label changed although PyTorch's logit was further than the
    tolerance from the others, or, of several labels, from its threshold.
    """
    score: float | None
    rows_per_second: float
    """Encoded rows, predicted in batches."""
    good: bool
    verdict: str
    """Why it is good, or why not."""


class ExportRecord(_Part):
    """The whole of `export.json`."""

    version: int = EXPORT_VERSION
    model: str
    weights_sha256: str
    """Of the model.safetensors that it was made from."""
    task: str
    own_task: OwnTask | None = None
    """A task of the user's own, whole."""
    outputs: list[int]
    """The model's output for each class."""
    inputs: list[str]
    """Names of the arrays that the model takes, each of shape (batch, tokens)."""
    max_length: int | None
    data: str
    rows: dict[str, int]
    """Rows that it was checked on, by split."""
    fingerprints: dict[str, str]
    score: float | None
    """PyTorch's."""
    rows_per_second: float
    """PyTorch's."""
    max_loss: float
    """Loss of score that is allowed for int8."""
    threads: int
    device: str
    versions: dict[str, str]
    checked: list[Checked]

    @property
    def spec(self) -> TaskSpec:
        """What the task is."""
        return self.own_task or get_task(self.task)

    @property
    def is_good(self) -> bool:
        """Whether every file passed."""
        return all(one.good for one in self.checked)

    def of(self, variant: Variant) -> Checked | None:
        """Return the check of a variant; None where it was not exported."""
        return next((one for one in self.checked if one.variant == variant), None)

    def save(self, path: Path) -> None:
        """Write the record as JSON, atomically."""
        write_json(path, self.model_dump(mode="json"))


def read_export(path: Path) -> ExportRecord:
    """Read an `export.json`. Raises RunError when it is missing, damaged, or of a newer version."""

    def absent() -> RunError:
        return RunError(
            f"{path.parent} holds no exported model: it has no {path.name}.",
            hint="Export it first: " + command_line("export", path.parent.parent, onnx=True),
        )

    return read_versioned(
        path,
        ExportRecord,
        EXPORT_VERSION,
        absent=absent,
        remedy="Export it again: gluetune export RUN --onnx",
    )


_ABSOLUTE = re.compile(r"(?<![\w./:~<-])/(?:[^\s/'\",;:|<>]+/)+(?P<name>[^\s/'\",;:|<>]*)")
_HIDDEN = "…"


def without_folders(text: str) -> str:
    """Return `text` with the last components of its absolute paths alone."""
    return _ABSOLUTE.sub(rf"{_HIDDEN}/\g<name>", text)


class LocalPaths:
    """Removes the local folders that a run's record and config may name."""

    def __init__(self, run: Run) -> None:
        record = run.record
        named = [record.data.source] if record.data else []
        if (
            record.own_task is not None
        ):  # a file, whose name the command that reproduces the run has too
            named = [str(Path(source).parent) for source in named]
        named += [record.model.name] if record.model else []
        roots = {
            run.path.resolve(),
            Path.cwd(),
            Path.home(),
            Path(tempfile.gettempdir()),
            *(Path(name) for name in named if Path(name).is_absolute()),
        }
        texts = {str(root) for root in roots} | {str(root.resolve()) for root in roots}
        longest_first = sorted(texts - {"/"}, key=len, reverse=True)
        self._roots = re.compile(
            r"(?<![\w.-])(?:" + "|".join(map(re.escape, longest_first)) + r")(?![\w-]|\.\w)"
        )

    def hide(self, text: str) -> str:
        """Return `text` without local folders; the last components of paths stay."""
        return without_folders(self._roots.sub(_HIDDEN, text))

    def within(self, text: str) -> bool:
        """Return whether `text` names one of the folders."""
        return self._roots.search(text) is not None

    def hide_within(self, value: Any) -> Any:
        """Apply `hide` to every string in a value of JSON or YAML."""
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, dict):
            return {name: self.hide_within(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self.hide_within(each) for each in value]
        return value


def base_name(name: str) -> str:
    """Return the public name of a checkpoint: its Hub id, or the name of its folder."""
    path = Path(name)
    if not path.is_absolute():
        return name
    return path.parent.name if path.name == "model" and path.parent.name else path.name


def is_local(name: str) -> bool:
    """Return whether a checkpoint's recorded name is a local folder."""
    return Path(name).is_absolute()
