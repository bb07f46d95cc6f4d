"""YAML as users write it is YAML 1.2's, and what gluetune writes comes back equal."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gluetune.core.errors import ConfigurationError
from gluetune.core.settings_files import dump_yaml, parse_assignment, read_settings, read_yaml
from gluetune.experiments.search.space import Choice, read_space

CORE: dict[str, Any] = {
    "10": 10,
    "010": 10,
    "08": 8,
    "-007": -7,
    "+7": 7,
    "0": 0,
    "-0": 0,
    "0o17": 15,
    "0x1F": 31,
    "1e-4": 1e-4,
    "1E5": 1e5,
    "2e+3": 2e3,
    "1.": 1.0,
    ".5": 0.5,
    "-.5": -0.5,
    "+.5e3": 500.0,
    ".inf": math.inf,
    "-.INF": -math.inf,
    "010.5": 10.5,
    "1.0e-05": 1e-5,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "FALSE": False,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "": None,
}
TEXTS = (
    *("on", "On", "off", "yes", "no", "y", "n", "tRue", "None", "none", "nan", "inf", "infinity"),
    *("1:30", "190:20:30", "1:30.5", "-1:30", "2020-01-01", "2020-01-01T10:00:00Z"),
    *("1_000", "0b11", "-0o17", "-0x1F", "1e", "e5", "1.2.3", "+", ".", "..5", "<<", "=", "0o8"),
)
LIKE_OTHERS = st.sampled_from([*CORE, *TEXTS, "1e5", "0o17", "08", ".5e3"]) | st.text(
    alphabet="0123456789_:.+-eExobTtruefalsnyYNFIi~=<# '\"\\[]{},&*!|>%@`?\t\n", max_size=8
)


@pytest.mark.parametrize("text", CORE)
def test_what_is_no_text_in_the_core_schema(text: str) -> None:
    name, value = parse_assignment(f"x={text}")
    assert name == "x"
    assert value == CORE[text]
    assert type(value) is type(CORE[text])


def test_not_a_number_is_a_number() -> None:
    assert math.isnan(read_yaml(".nan"))
    assert math.isnan(read_yaml(dump_yaml({"x": math.nan}))["x"])


@pytest.mark.parametrize("text", TEXTS)
def test_all_else_is_text(text: str) -> None:
    assert parse_assignment(f"x={text}") == ("x", text)
    assert read_yaml(f"x: {text}\ny: [{text}]\n") == {"x": text, "y": [text]}
    assert read_yaml(f"{text}: 1\n") == {text: 1}


@pytest.mark.parametrize("text", ["!!int 1:30", "!!int 0b1", "!!bool yes", "!!float x", "9" * 5000])
def test_what_no_reader_can_read_is_an_error_in_a_file_and_text_in_a_word(
    tmp_path: Path, text: str
) -> None:
    assert parse_assignment(f"x={text}") == ("x", text)
    path = tmp_path / "config.yaml"
    path.write_text(f"task: cola\nseed: {text}\n")
    with pytest.raises(ConfigurationError, match=re.escape(f"{path}:2: ")):
        read_settings(path)


@pytest.mark.parametrize(
    ("text", "name"), [("a: 1\nb: 2\na: 3\n", "'a'"), ("a-b: 1\na_b: 2\n", "'a_b'")]
)
def test_a_name_that_is_given_twice_is_refused(tmp_path: Path, text: str, name: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=f"{name} is given twice"):
        read_settings(path)


def test_files_of_settings_and_of_spaces_are_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text("batch-size: 010\nlearning_rate: 1e-4\nmodel: 2020-01-01\nrevision: on\n")
    assert read_settings(path) == {
        "batch_size": 10,
        "learning_rate": 1e-4,
        "model": "2020-01-01",
        "revision": "on",
    }
    path.write_text("batch_size: [010, 0o20]\nset.run_name: [on, 1:30]\n")
    assert read_space(path) == {
        "batch_size": Choice((10, 16)),
        "set.run_name": Choice(("on", "1:30")),
    }


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | LIKE_OTHERS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text() | LIKE_OTHERS, inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(VALUES)
@example([*CORE, *TEXTS])
@example(["next\x85line", "\ufeff", " lead", "trail ", "a: b", "# a", "- a", "%YAML 1.1", "---"])
def test_what_is_written_is_read_back_equal(value: Any) -> None:
    assert _typed(read_yaml(dump_yaml({"x": value}))["x"]) == _typed(value)


@settings(max_examples=200, deadline=None)
@given(st.lists(LIKE_OTHERS))
@example([*CORE, *TEXTS])
def test_a_text_that_is_written_is_text_to_any_reader(texts: list[str]) -> None:
    assert yaml.safe_load(dump_yaml({"x": texts})) == {"x": texts}, "YAML 1.1's too"


class _DumperBefore(yaml.SafeDumper):
    """What wrote every file before the core schema: YAML 1.1's rules, and exponents."""


_DumperBefore.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+$"),
    list("+-0123456789"),
)


@settings(max_examples=300, deadline=None)
@given(VALUES)
@example([*CORE, *TEXTS])
@example({"model": "08", "a": ["0o17", ".5e3", "-.5", "+.5", "0189"]})
def test_files_that_were_written_before_are_read_equally(value: Any) -> None:
    text = yaml.dump({"x": value}, Dumper=_DumperBefore, sort_keys=False, allow_unicode=True)
    if "\x85" in text or "\u2028" in text or "\u2029" in text or "\ufeff" in text:
        return  # what was escaped then, see the dumper's way with them
    configuration = f"# GLUE task: cola.\ntask: cola\n{text}"
    assert _typed(read_yaml(configuration)) == _typed({"task": "cola", "x": value})
    asked = yaml.dump({"asked": value, "found": {}}, Dumper=_DumperBefore, sort_keys=False)
    assert _typed(read_yaml(asked)["asked"]) == _typed(value)


def _typed(value: Any) -> Any:
    """Return a value in which 1, 1.0 and true differ."""
    if isinstance(value, dict):
        return [(name, _typed(each)) for name, each in value.items()]
    if isinstance(value, list):
        return [_typed(each) for each in value]
    return (type(value).__name__, repr(value))
