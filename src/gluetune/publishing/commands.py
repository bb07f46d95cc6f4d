"""The command line that repeats a run, without the folders of the machine that it ran on."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from gluetune.config import FILE_SETTINGS, TrainConfig, flag_of, typed
from gluetune.data.hub_source import HUB_REPOSITORY
from gluetune.data.sample_source import SAMPLES
from gluetune.publishing.local_paths import LocalPaths, is_local
from gluetune.runs import Run

MODEL_FOLDER, DATA_FOLDER = "MODEL_FOLDER", "DATA_FOLDER"
"""What stands for folders that are not published."""

_NOT_TYPED = frozenset({"task", "model", "data", "output"})


def repeat_command(run: Run, paths: LocalPaths) -> str:
    """Return `gluetune train TASK …` with every setting that is not its default.

    Folders of the machine stand as MODEL_FOLDER and DATA_FOLDER; a path inside `--set` is cut to
    its last name.
    """
    config = run.config
    words = ["gluetune", "train", config.task, "--model", _model(run)]
    if not config.is_own:
        words += ["--data", _data(run)]
    for name, field in TrainConfig.model_fields.items():
        value = getattr(config, name)
        if name not in _NOT_TYPED and value != field.get_default(call_default_factory=True):
            words += _flag(name, value, paths)
    return shlex.join(words)


def _model(run: Run) -> str:
    record = run.record
    is_folder = record.model is not None and is_local(record.model.name)
    return MODEL_FOLDER if is_folder else run.config.model


def _data(run: Run) -> str:
    source = run.record.data.source if run.record.data else run.config.data
    return source if source in (*SAMPLES, HUB_REPOSITORY) else DATA_FOLDER


def _flag(name: str, value: Any, paths: LocalPaths) -> list[str]:
    flag = flag_of(name)
    if name in FILE_SETTINGS:
        return [flag, paths.hide(Path(value).name)]
    if name == "set":
        return [
            word for key, each in value.items() for word in (flag, f"{key}={_typed(each, paths)}")
        ]
    return typed(name, value)


def _typed(value: Any, paths: LocalPaths) -> str:
    """Return a value as `--set` reads it: text as it is, where YAML reads it as that text."""
    from gluetune.settings_files import parse_assignment

    hidden = paths.hide_within(value)
    if isinstance(hidden, str) and parse_assignment(f"x={hidden}")[1] == hidden:
        return hidden
    return json.dumps(hidden, ensure_ascii=False)
