"""gluetune fine-tunes any Transformers checkpoint on GLUE, with honest scores.

>>> import gluetune
>>> run = gluetune.train("cola", model="minilm", data="sample")  # doctest: +SKIP
>>> run.score, run.model_path  # doctest: +SKIP

Names are imported when they are first used: `import gluetune` itself is instant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gluetune.analysis.audit import Audit as Audit
    from gluetune.analysis.audit import audit as audit
    from gluetune.analysis.comparison import Comparison as Comparison
    from gluetune.analysis.comparison import compare as compare
    from gluetune.analysis.comparison import compare_suites as compare_suites
    from gluetune.analysis.diagnostics import Diagnosis as Diagnosis
    from gluetune.analysis.diagnostics import diagnose as diagnose
    from gluetune.analysis.evaluation import Evaluation as Evaluation
    from gluetune.analysis.evaluation import evaluate as evaluate
    from gluetune.core.config import FileFormat as FileFormat
    from gluetune.core.config import TrainConfig as TrainConfig
    from gluetune.core.errors import CheckpointError as CheckpointError
    from gluetune.core.errors import ConfigurationError as ConfigurationError
    from gluetune.core.errors import DataError as DataError
    from gluetune.core.errors import Finding as Finding
    from gluetune.core.errors import GluetuneError as GluetuneError
    from gluetune.core.errors import HubError as HubError
    from gluetune.core.errors import LockedError as LockedError
    from gluetune.core.errors import ProcessLostError as ProcessLostError
    from gluetune.core.errors import Pruned as Pruned
    from gluetune.core.errors import RunError as RunError
    from gluetune.core.errors import StorageError as StorageError
    from gluetune.core.errors import TrainingError as TrainingError
    from gluetune.core.folds import FoldsResult as FoldsResult
    from gluetune.core.listing import ListedRun as ListedRun
    from gluetune.core.listing import list_runs as list_runs
    from gluetune.core.published import Reference as Reference
    from gluetune.core.published import published as published
    from gluetune.core.records import Record as Record
    from gluetune.core.runs import ExportRecord as ExportRecord
    from gluetune.core.runs import Run as Run
    from gluetune.core.suites import SuiteResult as SuiteResult
    from gluetune.core.tasks import GLUE_TASKS as GLUE_TASKS
    from gluetune.core.tasks import TASKS as TASKS
    from gluetune.core.tasks import TaskSpec as TaskSpec
    from gluetune.core.tasks import get_task as get_task
    from gluetune.experiments.cross_validation import cross_validate as cross_validate
    from gluetune.experiments.leaderboard import Leaderboard as Leaderboard
    from gluetune.experiments.leaderboard import leaderboard as leaderboard
    from gluetune.experiments.learning_curve import CurvePoint as CurvePoint
    from gluetune.experiments.learning_curve import learning_curve as learning_curve
    from gluetune.experiments.search.result import SearchResult as SearchResult
    from gluetune.experiments.search.search import search as search
    from gluetune.experiments.suite.suite import suite as suite
    from gluetune.exporting.onnx import export as export
    from gluetune.inference.file_checks import CheckedFiles as CheckedFiles
    from gluetune.inference.file_checks import check_files as check_files
    from gluetune.inference.file_predictions import FilePredictions as FilePredictions
    from gluetune.inference.file_predictions import predict as predict
    from gluetune.inference.predictor import Predictor as Predictor
    from gluetune.inference.predictor import load as load
    from gluetune.kinds.base import Prediction as Prediction
    from gluetune.publishing.submission import Submission as Submission
    from gluetune.publishing.submission import submit as submit
    from gluetune.publishing.upload import PushResult as PushResult
    from gluetune.publishing.upload import Verification as Verification
    from gluetune.publishing.upload import push as push
    from gluetune.publishing.upload import push_suite as push_suite
    from gluetune.rendering.pages import report as report
    from gluetune.serving.server import serve as serve
    from gluetune.serving.settings import Limits as Limits
    from gluetune.training.run import train as train
    from gluetune.training.trainer import Trainer as Trainer

__version__ = "0.1.0"

_HOMES = {
    name: f"gluetune.{module}"
    for module, names in {
        "analysis.audit": "Audit audit",
        "analysis.comparison": "Comparison compare compare_suites",
        "analysis.diagnostics": "Diagnosis diagnose",
        "analysis.evaluation": "Evaluation evaluate",
        "core.config": "FileFormat TrainConfig",
        "core.errors": "CheckpointError ConfigurationError DataError Finding GluetuneError "
        "HubError LockedError ProcessLostError Pruned RunError StorageError "
        "TrainingError",
        "core.listing": "ListedRun list_runs",
        "core.folds": "FoldsResult",
        "core.published": "Reference published",
        "core.records": "Record",
        "core.runs": "ExportRecord Run",
        "core.suites": "SuiteResult",
        "core.tasks": "GLUE_TASKS TASKS TaskSpec get_task",
        "experiments.cross_validation": "cross_validate",
        "experiments.leaderboard": "Leaderboard leaderboard",
        "experiments.learning_curve": "CurvePoint learning_curve",
        "experiments.search.result": "SearchResult",
        "experiments.search.search": "search",
        "experiments.suite.suite": "suite",
        "exporting.onnx": "export",
        "inference.file_checks": "CheckedFiles check_files",
        "inference.file_predictions": "FilePredictions predict",
        "inference.predictor": "Predictor load",
        "kinds.base": "Prediction",
        "publishing.submission": "Submission submit",
        "publishing.upload": "PushResult Verification push push_suite",
        "rendering.pages": "report",
        "serving.server": "serve",
        "serving.settings": "Limits",
        "training.run": "train",
        "training.trainer": "Trainer",
    }.items()
    for name in names.split()
}
"""The module of each public name."""

__all__ = ["__version__", *sorted(_HOMES)]

_RENAMED = {
    "Answer": "Prediction",
    "Measured": "Evaluation",
    "PredictedFile": "FilePredictions",
    "Pushed": "PushResult",
    "BestRun": "SearchResult",
    "Suite": "SuiteResult",
}
"""Former names, which work for this release with one warning."""


def __getattr__(name: str) -> Any:
    import importlib

    if name in _RENAMED:
        from gluetune.core.errors import warn_renamed

        warn_renamed(f"gluetune.{name}", f"gluetune.{_RENAMED[name]}")
        value = globals()[name] = getattr(importlib.import_module(__name__), _RENAMED[name])
        return value
    if name not in _HOMES:
        raise AttributeError(f"module 'gluetune' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
