"""The imports between modules of the package, read from its files."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import gluetune

SOURCE = Path(gluetune.__file__).parent


def modules() -> dict[str, Path]:
    """Return the file of each module of the package."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports() -> dict[str, set[str]]:
    """Return what each module imports of the package: at its top and inside functions.

    What only type checkers import is no import.
    """
    files = modules()
    return {
        name: set(_imported(ast.parse(path.read_text(encoding="utf-8")), files)) - {name}
        for name, path in files.items()
    }


def _imported(tree: ast.AST, files: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in files)
        elif isinstance(node, ast.ImportFrom) and node.module in files:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in files else str(node.module)
        yield from _imported(node, files)


def reached(start: str, graph: Mapping[str, set[str]]) -> set[str]:
    """Return `start` and every module that its imports lead to."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += graph[name]
    return found


def room(module: str) -> str:
    """Return the folder of the package that a module is in; empty for the package itself."""
    return module.split(".")[1] if "." in module else ""
