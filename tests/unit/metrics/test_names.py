"""A metric is known in one place: outside `gluetune.metrics` no name of one is compared."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import gluetune
from gluetune.core.published import REFERENCES
from gluetune.core.tasks import TASKS
from gluetune.kinds import KINDS
from gluetune.metrics.registry import METRICS

SOURCE = Path(gluetune.__file__).parent
NAMES = set(METRICS)


def compared(tree: ast.AST) -> Iterator[str]:
    """Give the names of metrics that are compared, looked up, or keys and cases of a choice."""
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        elif isinstance(node, ast.Subscript):
            parts = [node.slice]
        elif isinstance(node, ast.Dict) and len(node.keys) > 1:  # one alone names what it holds
            parts = list(node.keys)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            parts = list(node.args) if node.func.attr in ("get", "replace", "endswith") else []
        for part in filter(None, parts):
            inner = ast.walk(part)
            yield from (
                one.value for one in inner if isinstance(one, ast.Constant) and one.value in NAMES
            )


def test_a_comparison_with_a_metrics_name_is_found() -> None:
    for code in (
        "if name == 'f1': pass",
        "set(task.metrics) != {'accuracy'}",
        "name in ('pearson', 'spearman')",
        "{'accuracy': 1, 'f1': 2}[name]",
        "scores['rmse']",
        "name.replace('f1', 'F1')",
        "match name:\n    case 'mae': pass",
    ):
        assert list(compared(ast.parse(code))), code
    assert not list(compared(ast.parse("metrics=('accuracy', 'f1')")))


def test_nothing_outside_knows_a_metric_by_its_name() -> None:
    found = {
        f"{path.relative_to(SOURCE)}: {name}"
        for path in SOURCE.rglob("*.py")
        if path.parent.name != "metrics"
        for name in compared(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert not found


def test_every_name_that_is_held_as_data_is_a_metric() -> None:
    assert all({*task.all_metrics} <= NAMES for task in TASKS.values())
    assert all(
        kind.name in METRICS[name].kinds for kind in KINDS.values() for name in kind.default_metrics
    )
    of_all_tasks = "glue"
    assert {one.metric for one in REFERENCES} - {None, "", of_all_tasks} <= NAMES
