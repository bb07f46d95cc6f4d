"""How the package is built: rooms, imports, sizes. What stands in a list here may only leave it."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.imports import SOURCE, imports, modules, reached, room

MOST_FILES = 215
MOST_LINES = 46954
"""Of today. Lower them when the package shrinks."""

_KINDS = ("multi_label", "ordinal", "regression", "single_label")
CYCLES = {
    # A kind is pickled by its name, which only the registry, their package, knows.
    frozenset(f"gluetune.kinds{end}" for end in ("", ".base", *(f".{kind}" for kind in _KINDS)))
}
"""Import cycles that are known."""

_OPTIONS = "an option of the command line is a parameter, which declares its help"
LONG = {
    f"cli/{name}.py:{name}": _OPTIONS for name in ("predict", "search", "serve", "suite", "train")
}
LONG["experiments/suite/preflight.py:check"] = "what `suite` was given, checked one after another"
"""Functions over 60 lines without their docstring, and why."""

_ATTENTION = "the signature that transformers calls an attention function with"
MANY_PARAMETERS = {
    "experiments/suite/preflight.py:check": "what `suite` was given",
    "models/fast/attention.py:forward": _ATTENTION,
    "models/fast/attention.py:unpadded_attention": _ATTENTION,
}
"""Functions over 8 parameters that are no public verb, and why."""


def test_no_modules_import_each_other_not_even_inside_functions() -> None:
    graph = imports()
    after = {name: reached(name, graph) for name in graph}
    found = {
        frozenset(other for other in after[name] if name in after[other])
        for name in graph
        if any(name in after[other] for other in graph[name])
    }
    assert found <= CYCLES


def test_the_layers_are_the_folders() -> None:
    pyproject = tomllib.loads((SOURCE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = pyproject["tool"]["importlinter"]["contracts"]
    layers = re.findall(r"gluetune\.(\w+)", " ".join(contract["layers"]))
    folders = [path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists()]
    assert sorted(layers) == sorted(folders)


@pytest.mark.parametrize(
    "forbidden", ["rendering", "publishing", "serving", "exporting", "experiments"]
)
def test_training_imports_nothing_that_comes_after_a_run(forbidden: str) -> None:
    """`gluetune.train` alone, the verb on top, has the report of a finished run written."""
    graph = imports()
    for name in graph:
        if room(name) == "training" and name != "gluetune.training.run":
            assert not [one for one in reached(name, graph) if room(one) == forbidden], name
    found = {one for one in graph["gluetune.training.run"] if room(one) == forbidden}
    assert found <= {"gluetune.rendering.pages"}


def test_the_package_does_not_grow() -> None:
    files = [path.read_text(encoding="utf-8") for path in modules().values()]
    assert len(files) <= MOST_FILES
    assert sum(text.count("\n") for text in files) <= MOST_LINES


def test_functions_are_short_unless_they_only_declare() -> None:
    found = {name for name, node in _functions() if _length(node) > 60}
    assert found <= LONG.keys()


def test_functions_take_at_most_eight_parameters_unless_they_are_verbs() -> None:
    found = {name for name, node in _functions() if _parameters(node) > 8}
    assert found - _verbs() <= MANY_PARAMETERS.keys()


def _functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in modules().values():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.relative_to(SOURCE).as_posix()}:{node.name}", node


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    documented = ast.get_docstring(node) is not None
    first = node.body[0]
    docstring = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
    return (node.end_lineno or 0) - node.lineno + 1 - docstring


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    names = [each.arg for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def _verbs() -> set[str]:
    """Return the functions that the package exports, and the commands of the command line."""
    import gluetune

    exported = {
        f"{Path(*home.split('.')[1:]).as_posix()}.py:{name}"
        for name, home in gluetune._HOMES.items()
    }
    commands = {f"cli/{path.name}:{path.stem}" for path in (SOURCE / "cli").glob("*.py")}
    return exported | commands
