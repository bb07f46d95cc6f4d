"""Settings as YAML: read from a file or from one word, written so that they come back the same."""

from __future__ import annotations

import csv
import io
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from gluetune.errors import ConfigurationError


class _Loader(yaml.SafeLoader):
    """Reads 1e-6 as the number that it is in YAML 1.2; YAML 1.1 takes it for text."""


class _Dumper(yaml.SafeDumper):
    """Writes such text in quotes, so that it comes back as text."""


for _class in (_Loader, _Dumper):
    _class.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+$"),
        list("+-0123456789"),
    )


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Quote and escape what YAML takes for a line break: unquoted, it would be read as a space."""
    style = '"' if re.search("[\x85\u2028\u2029\ufeff]", text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def read_settings(path: Path) -> dict[str, Any]:
    """Return the settings in a YAML file. Raises ConfigurationError naming the file and line."""
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError as error:
        raise ConfigurationError(f"There is no file {path}.", hint="Check --config.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or "it is not YAML"
        raise ConfigurationError(
            f"{place}: {problem}.", hint="Write lines as `name: value`."
        ) from error
    if not isinstance(values, dict):
        raise ConfigurationError(
            f"{path} holds no settings.", hint="Write lines as `name: value`, e.g. `epochs: 3`."
        )
    return {str(name).replace("-", "_"): value for name, value in values.items()}


def parse_assignment(text: str) -> tuple[str, Any]:
    """Split `name=value` and read the value as YAML does: numbers, true, lists, else text."""
    name, separator, value = text.partition("=")
    if not separator or not name.strip():
        raise ConfigurationError(f"--set {text!r} is not of the form name=value.")
    try:
        return name.strip(), yaml.load(value, Loader=_Loader)
    except yaml.YAMLError:
        return name.strip(), value


def dump_yaml(values: Mapping[str, Any]) -> str:
    """Return `values` as YAML that `read_settings` reads back as they are."""
    text: str = yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


def parse_names(text: str) -> tuple[str, ...]:
    """Return the names in `NAME,NAME,…`; a name that has a comma is quoted, as in CSV."""
    try:
        rows = list(csv.reader([text], skipinitialspace=True))
    except csv.Error:  # a line break outside quotes
        return tuple(text.split(","))
    return tuple(name for row in rows for name in row)


def typed_names(names: Iterable[str]) -> str:
    """Return names as a shell takes them for `parse_names`."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(names)
    text = line.getvalue()
    return text if _IS_PLAIN.fullmatch(text) else shlex.quote(text)


_IS_PLAIN = re.compile(r"[\w,.:+%@=/-]+")
"""What no shell reads as anything else; unlike shlex.quote in letters of every script."""
