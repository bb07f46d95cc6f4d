"""gluetune fine-tunes any Transformers checkpoint on GLUE, with honest scores.

>>> import gluetune
>>> run = gluetune.train("cola", model="minilm", data="sample")  # doctest: +SKIP
>>> run.score, run.model_path  # doctest: +SKIP

Names are imported when they are first used: `import gluetune` itself is instant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gluetune.config import TrainConfig
    from gluetune.data.own.checking import CheckedFiles
    from gluetune.errors import (
        CheckpointError,
        ConfigurationError,
        DataError,
        Finding,
        GluetuneError,
        HubError,
        Pruned,
        RunError,
        StorageError,
        TrainingError,
    )
    from gluetune.evaluation.diagnosing import Diagnosis, diagnose
    from gluetune.evaluation.file_checks import check_files
    from gluetune.evaluation.file_predictions import PredictedFile, predict
    from gluetune.evaluation.measuring import Measured, evaluate
    from gluetune.evaluation.predictor import Answer, Predictor, load
    from gluetune.exporting.onnx import export
    from gluetune.exports import ExportRecord
    from gluetune.file_formats import FileFormat
    from gluetune.publishing.submission import Submission, submit
    from gluetune.publishing.suite_upload import push_suite
    from gluetune.publishing.upload import Pushed, push
    from gluetune.publishing.verification import Verification
    from gluetune.records import Record
    from gluetune.references import Reference, published
    from gluetune.reporting.comparison import Comparison, compare, compare_suites
    from gluetune.reporting.pages import report
    from gluetune.runs import Run
    from gluetune.serving.limits import Limits
    from gluetune.serving.server import serve
    from gluetune.suite_records import Suite
    from gluetune.suites.run_suite import suite
    from gluetune.tasks import GLUE_TASKS, TASKS, TaskSpec, get_task
    from gluetune.training.curve import CurvePoint, learning_curve
    from gluetune.training.run import train
    from gluetune.training.trainer import Trainer
    from gluetune.tuning.outcomes import BestRun
    from gluetune.tuning.searching import search

__version__ = "0.1.0"

_HOMES = {
    "Answer": "gluetune.evaluation.predictor",
    "BestRun": "gluetune.tuning.outcomes",
    "CheckpointError": "gluetune.errors",
    "CheckedFiles": "gluetune.data.own.checking",
    "Comparison": "gluetune.reporting.comparison",
    "ConfigurationError": "gluetune.errors",
    "CurvePoint": "gluetune.training.curve",
    "DataError": "gluetune.errors",
    "ExportRecord": "gluetune.exports",
    "FileFormat": "gluetune.file_formats",
    "Finding": "gluetune.errors",
    "GLUE_TASKS": "gluetune.tasks",
    "GluetuneError": "gluetune.errors",
    "HubError": "gluetune.errors",
    "Limits": "gluetune.serving.limits",
    "Measured": "gluetune.evaluation.measuring",
    "PredictedFile": "gluetune.evaluation.file_predictions",
    "Predictor": "gluetune.evaluation.predictor",
    "Pruned": "gluetune.errors",
    "Pushed": "gluetune.publishing.upload",
    "Record": "gluetune.records",
    "Reference": "gluetune.references",
    "Run": "gluetune.runs",
    "RunError": "gluetune.errors",
    "StorageError": "gluetune.errors",
    "Submission": "gluetune.publishing.submission",
    "Suite": "gluetune.suite_records",
    "TASKS": "gluetune.tasks",
    "TaskSpec": "gluetune.tasks",
    "TrainConfig": "gluetune.config",
    "Trainer": "gluetune.training.trainer",
    "TrainingError": "gluetune.errors",
    "Diagnosis": "gluetune.evaluation.diagnosing",
    "Verification": "gluetune.publishing.verification",
    "check_files": "gluetune.evaluation.file_checks",
    "compare": "gluetune.reporting.comparison",
    "compare_suites": "gluetune.reporting.comparison",
    "diagnose": "gluetune.evaluation.diagnosing",
    "evaluate": "gluetune.evaluation.measuring",
    "export": "gluetune.exporting.onnx",
    "get_task": "gluetune.tasks",
    "learning_curve": "gluetune.training.curve",
    "load": "gluetune.evaluation.predictor",
    "predict": "gluetune.evaluation.file_predictions",
    "published": "gluetune.references",
    "push": "gluetune.publishing.upload",
    "push_suite": "gluetune.publishing.suite_upload",
    "report": "gluetune.reporting.pages",
    "search": "gluetune.tuning.searching",
    "serve": "gluetune.serving.server",
    "submit": "gluetune.publishing.submission",
    "suite": "gluetune.suites.run_suite",
    "train": "gluetune.training.run",
}

__all__ = [
    "GLUE_TASKS",
    "TASKS",
    "Answer",
    "BestRun",
    "CheckedFiles",
    "CheckpointError",
    "Comparison",
    "ConfigurationError",
    "CurvePoint",
    "DataError",
    "Diagnosis",
    "ExportRecord",
    "FileFormat",
    "Finding",
    "GluetuneError",
    "HubError",
    "Limits",
    "Measured",
    "PredictedFile",
    "Predictor",
    "Pruned",
    "Pushed",
    "Record",
    "Reference",
    "Run",
    "RunError",
    "StorageError",
    "Submission",
    "Suite",
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


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'gluetune' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
