"""Write `src/gluetune/core/keywords.py`: the keyword arguments of the public functions, typed.

    python -m tools.keywords

Each is a TypedDict for `**settings: Unpack[…]`, made from the fields of settings models, so that
editors complete `learning_rate=` and type checkers refuse `lr=`. A test compares the file.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic.fields import FieldInfo

from gluetune.core.config import FILE_SETTINGS, FOLD_SETTINGS, OWN_SETTINGS, TrainConfig
from gluetune.core.folds import FoldsSettings
from gluetune.core.inference_settings import (
    EvaluateSettings,
    ExportSettings,
    InferenceSettings,
    LoadSettings,
    PredictSettings,
)
from gluetune.core.settings import Accepts, Settings
from gluetune.experiments.settings import SearchSettings, SuiteSettings
from gluetune.serving.settings import ServeSettings

FILE = Path(__file__).parents[1] / "src" / "gluetune" / "core" / "keywords.py"


@dataclass(frozen=True)
class Keywords:
    """The keyword arguments of one function."""

    of: str
    fields: Mapping[str, FieldInfo]
    base: str = ""
    """TypedDict that has some of them already."""


def _of(*models: type[Settings], but: Iterable[str] = ()) -> dict[str, FieldInfo]:
    """Return the fields of models, but for those that a function has as parameters of its own."""
    every = {name: field for model in models for name, field in model.model_fields.items()}
    return {name: field for name, field in every.items() if name not in but}


_FILES = {*FILE_SETTINGS, "train_split", "validation_split"}
_TRAIN = _of(TrainConfig, but=["task"])
_READ = {name: _TRAIN[name] for name in (*OWN_SETTINGS, "extra_metrics") if name not in _FILES}
_LONG = ("long_texts", "window_overlap", "most_windows")
_CHECKED = ("model", "revision", "trust_remote_code", "max_length", *_LONG)

KEYWORDS = {
    "ReadKeywords": Keywords("everything that reads labelled text", _READ),
    "CheckKeywords": Keywords(
        "`gluetune.check_files`", _READ | {name: _TRAIN[name] for name in _CHECKED}, "ReadKeywords"
    ),
    "InferenceKeywords": Keywords("everything that runs a model", _of(InferenceSettings)),
    "LoadKeywords": Keywords("`gluetune.load`", _of(LoadSettings), "InferenceKeywords"),
    "EvaluateKeywords": Keywords("`gluetune.evaluate`", _of(EvaluateSettings), "InferenceKeywords"),
    "PredictKeywords": Keywords(
        "`gluetune.predict`", _of(LoadSettings, PredictSettings), "LoadKeywords"
    ),
    "ServeKeywords": Keywords("`gluetune.serve`", _of(LoadSettings, ServeSettings), "LoadKeywords"),
    "ExportKeywords": Keywords("`gluetune.export`", _of(ExportSettings)),
    "AnyRunKeywords": Keywords(
        "every run, also of several tasks and seeds",
        _of(
            TrainConfig,
            but=("task", "model", "fraction", "exclude", "seed", "output", *FOLD_SETTINGS),
        ),
        "ReadKeywords",
    ),
    "SuiteKeywords": Keywords(
        "`gluetune.suite`",
        _of(
            TrainConfig,
            SuiteSettings,
            but=("task", "model", "exclude", "seed", "output", *FOLD_SETTINGS),
        ),
        "AnyRunKeywords",
    ),
    "RunKeywords": Keywords(
        "a run", _of(TrainConfig, but=("task", "output", *FOLD_SETTINGS)), "AnyRunKeywords"
    ),
    "SearchKeywords": Keywords(
        "`gluetune.search`",
        _of(TrainConfig, SearchSettings, but=("task", "output", *FOLD_SETTINGS)),
        "RunKeywords",
    ),
    "TrainKeywords": Keywords(
        "`gluetune.train`", _of(TrainConfig, FoldsSettings, but=["task"]), "RunKeywords"
    ),
}
"""By the name of the TypedDict."""

_HEAD = '''\
"""Keyword arguments of the public functions. Made by `python -m tools.keywords`; do not edit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    from datasets import Dataset
    from pandas import DataFrame
    from pyarrow import Table

'''


def source() -> str:
    """Return the text of the module."""
    return "\n".join([_HEAD, *(line for name in KEYWORDS for line in _typed_dict(name))])


def _typed_dict(name: str) -> Iterator[str]:
    made = KEYWORDS[name]
    inherited = KEYWORDS[made.base].fields if made.base else {}
    if extra := inherited.keys() - made.fields.keys():
        raise ValueError(f"{made.base} has what {name} has not: {', '.join(sorted(extra))}")
    yield f"class {name}({made.base or 'TypedDict'}, total=False):"
    yield f'    """Settings of {made.of}."""'
    yield ""
    for field, info in made.fields.items():
        if field not in inherited:
            yield f"    {field}: {_written(info)}"
    yield "\n"


def _written(field: FieldInfo) -> str:
    """Return the type of a keyword argument as it is written in source."""
    kind: Any = Annotated[field.annotation, None, *field.metadata]
    return " | ".join(dict.fromkeys(_parts(kind)))


def _parts(kind: Any) -> Iterator[str]:
    """Yield the members of the union that a function takes for a field of type `kind`."""
    origin = typing.get_origin(kind)
    if origin is Annotated:
        inner, *metadata = typing.get_args(kind)
        taken = next((each.types for each in metadata if isinstance(each, Accepts)), None)
        yield from _parts(inner) if taken is None else taken
    elif origin in (typing.Union, types.UnionType):
        for each in typing.get_args(kind):
            yield from _parts(each)
    elif origin is typing.Literal:
        words = ", ".join(f'"{word}"' for word in typing.get_args(kind))
        yield f"Literal[{words}]"
    elif origin is tuple:
        yield from ("str", "Sequence[str]")
    elif origin is dict:
        yield "Mapping[str, Any]"
    elif kind is Path:
        yield from ("str", "PathLike[str]")
    elif kind in (str, int, float, bool):
        yield kind.__name__
    elif kind in (None, type(None)):
        yield "None"
    else:
        raise TypeError(f"no way is known to write {kind!r}")


if __name__ == "__main__":
    FILE.write_text(source(), encoding="utf-8")
