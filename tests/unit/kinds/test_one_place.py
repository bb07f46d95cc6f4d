"""Nothing outside `kinds/` asks which kind a task is: it asks the kind for what it needs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import gluetune
from gluetune.kinds import FORMER_NAMES, KINDS

SOURCE = Path(gluetune.__file__).parent
OBJECTS = {kind.name.upper() for kind in KINDS.values()}
CLASSES = {type(kind).__name__ for kind in KINDS.values()}
NAMES = {*KINDS, *(kind.problem_type for kind in KINDS.values())}
MODULES = sorted(
    path for path in SOURCE.rglob("*.py") if path.relative_to(SOURCE).parts[0] != "kinds"
)


def compared_kinds(tree: ast.AST, *, may_list: bool = False) -> Iterator[int]:
    """Yield the lines on which code decides by the kind of a task.

    `may_list`: tables by kind are allowed.
    """
    for node in ast.walk(tree):
        is_table = _is_dispatch(node) and not may_list
        if _is_comparison(node) or _is_former_question(node) or is_table:
            yield node.lineno  # type: ignore[attr-defined]  # each of them has one


def _is_comparison(node: ast.AST) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        named = {one.id for arg in node.args[1:] for one in ast.walk(arg) if _is_name(one)}  # type: ignore[attr-defined]  # of names
        return node.func.id == "isinstance" and bool(named & CLASSES)
    if isinstance(node, ast.Compare):
        return any(map(_is_kind, (node.left, *node.comparators)))
    return isinstance(node, ast.MatchValue) and _is_kind(node.value)


def _is_former_question(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in ("is_regression", "multi_label")


def _is_dispatch(node: ast.AST) -> bool:
    """Whether it is a table by kind, which a new kind would have to be added to."""
    if not isinstance(node, ast.Dict):
        return False
    return sum(key is not None and _is_kind(key) for key in node.keys) > 1


def _is_kind(node: ast.AST) -> bool:
    """Whether it is a kind or the name of one."""
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return any(map(_is_kind, node.elts))
    if isinstance(node, ast.Attribute):
        return node.attr in OBJECTS or ast.unparse(node).endswith(
            ("kind.name", "kind.problem_type")
        )
    if isinstance(node, ast.Name):
        return node.id in OBJECTS
    return isinstance(node, ast.Constant) and node.value in NAMES


def _is_name(node: ast.AST) -> bool:
    return isinstance(node, ast.Name)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_kinds_know_which_kind_a_task_is(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    is_of_metrics = "metrics" in path.parts  # whose records have a formula for each of their kinds
    found = [f"{path}:{line}" for line in compared_kinds(tree, may_list=is_of_metrics)]
    assert not found, "ask the kind, as `task.kind.decode(…)`, or give it an attribute"


@pytest.mark.parametrize(
    "code",
    [
        "task.kind is REGRESSION",
        "task.kind == kinds.MULTI_LABEL",
        "task.kind in (SINGLE_LABEL, ORDINAL)",
        "task.kind.name == name",
        "name == 'multi_label'",
        "config.problem_type != 'regression'",
        "isinstance(task.kind, Regression)",
        "isinstance(kind, (Ordinal, Regression))",
        "1 if task.is_regression else 2",
        "task.multi_label",
        "{'single_label': 1, 'ordinal': 2}[kind]",
        "match name:\n case 'ordinal': pass",
    ],
)
def test_a_comparison_is_seen(code: str) -> None:
    assert list(compared_kinds(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "task.kind.decode(logits)",
        "'residuals' in task.kind.sections",
        "x == 'labels'",
        "kind=ORDINAL",
    ],
)
def test_what_asks_the_kind_is_none(code: str) -> None:
    tree = ast.parse(f"f({code})")
    assert not list(compared_kinds(tree))


def test_former_names_are_of_kinds() -> None:
    assert set(FORMER_NAMES.values()) <= set(KINDS)
    assert not set(FORMER_NAMES) & set(KINDS)
