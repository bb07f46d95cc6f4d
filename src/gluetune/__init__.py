"""gluetune fine-tunes any Transformers checkpoint on GLUE, with honest scores.

>>> import gluetune
>>> run = gluetune.train("cola", model="minilm", data="sample")  # doctest: +SKIP
>>> run.score, run.model_path  # doctest: +SKIP

Names are imported when they are first used: `import gluetune` itself is instant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gluetune.analysis.comparison import Comparison, compare, compare_suites
    from gluetune.analysis.diagnostics import Diagnosis, diagnose
    from gluetune.analysis.evaluation import Evaluation, evaluate
    from gluetune.core.config import TrainConfig
    from gluetune.core.errors import (
        CheckpointError,
        ConfigurationError,
        DataError,
        Finding,
        GluetuneError,
        HubError,
        LockedError,
        ProcessLostError,
        Pruned,
        RunError,
        StorageError,
        TrainingError,
    )
    from gluetune.core.exports import ExportRecord
    from gluetune.core.file_formats import FileFormat
    from gluetune.core.records import Record
    from gluetune.core.references import Reference, published
    from gluetune.core.runs import Run
    from gluetune.core.suites import SuiteResult
    from gluetune.core.tasks import GLUE_TASKS, TASKS, TaskSpec, get_task
    from gluetune.experiments.leaderboard import Leaderboard, leaderboard
    from gluetune.experiments.learning_curve import CurvePoint, learning_curve
    from gluetune.experiments.search.result import SearchResult
    from gluetune.experiments.search.search import search
    from gluetune.experiments.suite.suite import suite
    from gluetune.exporting.onnx import export
    from gluetune.inference.file_checks import CheckedFiles, check_files
    from gluetune.inference.file_predictions import FilePredictions, predict
    from gluetune.inference.predictor import Predictor, load
    from gluetune.kinds.base import Prediction
    from gluetune.publishing.submission import Submission, submit
    from gluetune.publishing.upload import PushResult, push, push_suite
    from gluetune.publishing.verification import Verification
    from gluetune.rendering.pages import report
    from gluetune.serving.server import serve
    from gluetune.serving.settings import Limits
    from gluetune.training.run import train
    from gluetune.training.trainer import Trainer

__version__ = "0.1.0"

_HOMES = {
    "SearchResult": "gluetune.experiments.search.result",
    "CheckpointError": "gluetune.core.errors",
    "CheckedFiles": "gluetune.inference.file_checks",
    "Comparison": "gluetune.analysis.comparison",
    "ConfigurationError": "gluetune.core.errors",
    "CurvePoint": "gluetune.experiments.learning_curve",
    "DataError": "gluetune.core.errors",
    "ExportRecord": "gluetune.core.exports",
    "FileFormat": "gluetune.core.file_formats",
    "Finding": "gluetune.core.errors",
    "GLUE_TASKS": "gluetune.core.tasks",
    "GluetuneError": "gluetune.core.errors",
    "HubError": "gluetune.core.errors",
    "Leaderboard": "gluetune.experiments.leaderboard",
    "Limits": "gluetune.serving.settings",
    "LockedError": "gluetune.core.errors",
    "Evaluation": "gluetune.analysis.evaluation",
    "FilePredictions": "gluetune.inference.file_predictions",
    "Prediction": "gluetune.kinds.base",
    "Predictor": "gluetune.inference.predictor",
    "ProcessLostError": "gluetune.core.errors",
    "Pruned": "gluetune.core.errors",
    "PushResult": "gluetune.publishing.upload",
    "Record": "gluetune.core.records",
    "Reference": "gluetune.core.references",
    "Run": "gluetune.core.runs",
    "RunError": "gluetune.core.errors",
    "StorageError": "gluetune.core.errors",
    "Submission": "gluetune.publishing.submission",
    "SuiteResult": "gluetune.core.suites",
    "TASKS": "gluetune.core.tasks",
    "TaskSpec": "gluetune.core.tasks",
    "TrainConfig": "gluetune.core.config",
    "Trainer": "gluetune.training.trainer",
    "TrainingError": "gluetune.core.errors",
    "Diagnosis": "gluetune.analysis.diagnostics",
    "Verification": "gluetune.publishing.verification",
    "check_files": "gluetune.inference.file_checks",
    "compare": "gluetune.analysis.comparison",
    "compare_suites": "gluetune.analysis.comparison",
    "diagnose": "gluetune.analysis.diagnostics",
    "evaluate": "gluetune.analysis.evaluation",
    "export": "gluetune.exporting.onnx",
    "get_task": "gluetune.core.tasks",
    "leaderboard": "gluetune.experiments.leaderboard",
    "learning_curve": "gluetune.experiments.learning_curve",
    "load": "gluetune.inference.predictor",
    "predict": "gluetune.inference.file_predictions",
    "published": "gluetune.core.references",
    "push": "gluetune.publishing.upload",
    "push_suite": "gluetune.publishing.upload",
    "report": "gluetune.rendering.pages",
    "search": "gluetune.experiments.search.search",
    "serve": "gluetune.serving.server",
    "submit": "gluetune.publishing.submission",
    "suite": "gluetune.experiments.suite.suite",
    "train": "gluetune.training.run",
}

__all__ = [
    "GLUE_TASKS",
    "TASKS",
    "CheckedFiles",
    "CheckpointError",
    "Comparison",
    "ConfigurationError",
    "CurvePoint",
    "DataError",
    "Diagnosis",
    "Evaluation",
    "ExportRecord",
    "FileFormat",
    "FilePredictions",
    "Finding",
    "GluetuneError",
    "HubError",
    "Leaderboard",
    "Limits",
    "LockedError",
    "Prediction",
    "Predictor",
    "ProcessLostError",
    "Pruned",
    "PushResult",
    "Record",
    "Reference",
    "Run",
    "RunError",
    "SearchResult",
    "StorageError",
    "Submission",
    "SuiteResult",
    "TaskSpec",
    "TrainConfig",
    "Trainer",
    "TrainingError",
    "Verification",
    "__version__",
    "check_files",
    "compare",
    "compare_suites",
    "diagnose",
    "evaluate",
    "export",
    "get_task",
    "leaderboard",
    "learning_curve",
    "load",
    "predict",
    "published",
    "push",
    "push_suite",
    "report",
    "search",
    "serve",
    "submit",
    "suite",
    "train",
]


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
        from gluetune.core.deprecations import warn_renamed

        warn_renamed(f"gluetune.{name}", f"gluetune.{_RENAMED[name]}")
        value = globals()[name] = getattr(importlib.import_module(__name__), _RENAMED[name])
        return value
    if name not in _HOMES:
        raise AttributeError(f"module 'gluetune' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
