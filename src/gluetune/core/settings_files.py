"""Settings as YAML: read from a file or from one word, written so that they come back the same."""

from __future__ import annotations

import csv
import io
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import yaml

from gluetune.core.errors import ConfigurationError

_TAG = "tag:yaml.org,2002:"
_CORE = {
    "null": (r"~|null|Null|NULL|", "~nN\0"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
}
"""Plain words of YAML 1.2's core schema, with their first characters; any other is text.

PyYAML has 1.1 only, in which `on` is true, 010 is 8, 1:30 is 90, and 1e-6 is text.
"""


def _add_core(kind: Any) -> None:
    for name, (pattern, begins) in _CORE.items():
        first = ["" if letter == "\0" else letter for letter in begins]
        kind.add_implicit_resolver(_TAG + name, re.compile(rf"(?:{pattern})\Z"), first)


class _Loader(yaml.SafeLoader):
    """Reads YAML 1.2's core schema, and refuses a name that is given twice."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]  # PyYAML's are

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping whose names differ."""
        values: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        if len(values) < len(node.value):
            keys = [key for key, _ in node.value]
            names = [key.value for key in keys]
            repeated = (key for at, key in enumerate(keys) if key.value in names[:at])
            again = next(repeated, keys[-1])  # 1 and 0x1 are the same, spelt differently
            raise _problem(f"{again.value!r} is given twice", again)
        return values


class _WrittenLoader(_Loader):
    """Reads what gluetune wrote when it quoted a text only where YAML 1.1 takes it for no text."""

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        """Return the tag of a node: text where it was text for the dumper of then."""
        before = _written_before.resolve(kind, value, implicit)  # type: ignore[no-untyped-call]
        tag = super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]
        return str(_TEXT if before == _TEXT else tag)


class _Before(yaml.resolver.Resolver):
    """What the dumper of former versions took words for."""


class _Dumper(yaml.SafeDumper):
    """Quotes a text that YAML 1.1 or 1.2 takes for something else: any reader finds the text."""


_TEXT = _TAG + "str"
_add_core(_Loader)
_add_core(_Dumper)
_Before.add_implicit_resolver(
    _TAG + "float", re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+$"), list("+-0123456789")
)
_written_before = _Before()


def _construct(pattern: str, read: Callable[[str], Any]) -> Callable[[Any, yaml.Node], Any]:
    """Return a constructor that refuses what a tag that is written out, as `!!int`, cannot mean."""

    def construct(loader: Any, node: yaml.Node) -> Any:
        text = loader.construct_scalar(node)
        try:
            if re.fullmatch(pattern, text):
                return read(text)
        except ValueError:  # more digits than Python reads
            pass
        raise _problem(f"{text[:20]!r} is no {node.tag.removeprefix(_TAG)}", node)

    return construct


def _problem(problem: str, node: yaml.Node) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _whole(text: str) -> int:
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text if base == 10 else text[2:], base)


def _real(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


for _name, _read in (
    ("null", lambda text: None),
    ("bool", lambda text: text.lower() == "true"),
    ("int", _whole),
    ("float", _real),
):
    _Loader.add_constructor(_TAG + _name, _construct(_CORE[_name][0], _read))


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Quote and escape what YAML takes for a line break: unquoted, it would be read as a space."""
    style = '"' if re.search("[\x85\u2028\u2029\ufeff]", text) else None
    return dumper.represent_scalar(_TEXT, text, style=style)


_Dumper.add_representer(str, _represent_text)

_WRITTEN = ("# GLUE task: ", "asked:")
"""First words of a configuration and of a search's settings that gluetune wrote."""


def read_yaml(text: str) -> Any:
    """Return the value that YAML 1.2 gives a text in its core schema. Raises yaml.YAMLError."""
    written = text.startswith(_WRITTEN)
    try:
        return yaml.load(text, Loader=_WrittenLoader if written else _Loader)
    except RecursionError as error:
        raise yaml.YAMLError("it is nested too deeply") from error


def read_settings(path: Path) -> dict[str, Any]:
    """Return the settings in a YAML file. Raises ConfigurationError naming the file and line."""
    if path.is_dir():
        inside = path / "config.yaml"
        hint = f"Type: --config {shlex.quote(str(inside))}" if inside.is_file() else "Give a file."
        raise ConfigurationError(f"{path} is a folder, not a file.", hint=hint)
    try:
        values = read_yaml(path.read_text(encoding="utf-8"))
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
    return _with_underscores(path, values)


def _with_underscores(path: Path, values: Mapping[Any, Any]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for given, value in values.items():
        name = str(given).replace("-", "_")
        if name in named:
            raise ConfigurationError(
                f"{path}: '{name}' is given twice.", hint="Leave one of the lines out."
            )
        named[name] = value
    return named


def parse_assignment(text: str) -> tuple[str, Any]:
    """Split `name=value` and read the value as YAML 1.2: numbers, true, lists, else text."""
    name, separator, value = text.partition("=")
    if not separator or not name.strip():
        raise ConfigurationError(f"--set {text!r} is not of the form name=value.")
    try:
        return name.strip(), read_yaml(value)
    except yaml.YAMLError:
        return name.strip(), value


def dump_yaml(values: Any) -> str:
    """Return `values` as YAML that `read_yaml`, and any reader, reads back as they are."""
    text: str = yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


def split_names(text: str, *, keep_spaces: bool = False) -> tuple[str, ...]:
    """Return the names in `NAME,NAME,…`; a name that has a comma is quoted, as in CSV.

    Spaces after a comma belong to the name that follows only with `keep_spaces`.
    """
    source = io.StringIO(text, newline="")
    try:
        rows = list(csv.reader(source, skipinitialspace=not keep_spaces, strict=True))
    except csv.Error:  # a quote inside a name
        rows = []
    return tuple(rows[0]) if len(rows) == 1 else tuple(text.split(","))


def join_names(names: Iterable[str]) -> str:
    """Return names as `split_names` reads them."""
    return ",".join(map(_quoted_name, names))


def typed_names(names: Iterable[str]) -> str:
    """Return names as a shell takes them for `split_names`."""
    text = join_names(names)
    return text if _IS_PLAIN.fullmatch(text) else shlex.quote(text)


def _quoted_name(name: str) -> str:
    if name and name == name.strip() and not _SPECIAL.search(name):
        return name
    return '"' + name.replace('"', '""') + '"'


_SPECIAL = re.compile(r'[,"\r\n]')
_IS_PLAIN = re.compile(r"[\w,.:+%@=/-]+")
"""What no shell reads as anything else; unlike shlex.quote in letters of every script."""
