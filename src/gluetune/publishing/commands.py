"""The command line that repeats a run, without the folders of the machine that it ran on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gluetune.command_lines import command_line
from gluetune.config import FILE_SETTINGS, TrainConfig, typed_settings
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
    changed = {
        name: _public(name, getattr(config, name), paths)
        for name, field in TrainConfig.model_fields.items()
        if name not in _NOT_TYPED
        and getattr(config, name) != field.get_default(call_default_factory=True)
    }
    data = None if config.is_own else _data(run)
    settings = typed_settings(changed)
    return command_line("train", config.task, model=_model(run), data=data, **settings)


def _model(run: Run) -> str:
    record = run.record
    is_folder = record.model is not None and is_local(record.model.name)
    return MODEL_FOLDER if is_folder else run.config.model


def _data(run: Run) -> str:
    source = run.record.data.source if run.record.data else run.config.data
    return source if source in (*SAMPLES, HUB_REPOSITORY) else DATA_FOLDER


def _public(name: str, value: Any, paths: LocalPaths) -> Any:
    """Return a setting's value without the folders of this machine."""
    if name in FILE_SETTINGS:
        return paths.hide(Path(value).name)
    return paths.hide_within(value) if name == "set" else value
