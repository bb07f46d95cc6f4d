"""The package imports and starts where fcntl, termios and the signals of POSIX do not exist."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import gluetune

SOURCE = Path(gluetune.__file__).parent
POSIX_ONLY = ("fcntl", "grp", "pty", "pwd", "resource", "termios", "tty")

# Other libraries have branches of their own for Windows, which a Linux build lacks: they are
# imported before anything is taken away, and the package once more after it.
ELSEWHERE = f"""
import builtins, importlib, os, pkgutil, signal, sys

def import_all():
    import gluetune
    for module in pkgutil.walk_packages(gluetune.__path__, "gluetune."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    return [getattr(gluetune, name) for name in gluetune.__all__]

import_all()
for name in [name for name in sys.modules if name.split(".")[0] == "gluetune"]:
    del sys.modules[name]
plain = builtins.__import__
def limited(name, globals=None, locals=None, fromlist=(), level=0):
    importer = (globals or {{}}).get("__name__", "")
    if importer.split(".")[0] == "gluetune" and name.split(".")[0] in {POSIX_ONLY!r}:
        raise ModuleNotFoundError(f"No module named {{name!r}}, which {{importer}} imports")
    return plain(name, globals, locals, fromlist, level)
builtins.__import__ = limited
for name in ("SIGKILL", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGALRM", "SIG_BLOCK", "pthread_sigmask"):
    delattr(signal, name)
for name in ("killpg", "setpgrp", "getpgid", "getuid", "sysconf", "O_DIRECTORY"):
    delattr(os, name)
assert import_all()
from gluetune.cli.app import main
for arguments in (["--help"], ["train", "--help"], ["show", "rte", "--data", "sample", "-n", "1"]):
    try:
        main(arguments)
    except SystemExit as end:
        assert not end.code, (arguments, end.code)
print("all of it")
"""


def test_every_module_imports_and_help_and_show_work_without_what_only_posix_has() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Usage:" in done.stdout
    assert done.stdout.rstrip().endswith("all of it")


def test_no_module_imports_at_its_top_what_only_posix_has() -> None:
    found = [
        f"{path.relative_to(SOURCE)}:{node.lineno} imports {name}"
        for path in sorted(SOURCE.rglob("*.py"))
        for node in _top_level(ast.parse(path.read_text(encoding="utf-8")))
        for name in _imported(node)
        if name in POSIX_ONLY
    ]
    assert found == []


def _top_level(tree: ast.AST) -> list[ast.stmt]:
    """Return the statements that run when a module is imported, those of its classes too."""
    found: list[ast.stmt] = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        found += [node] if isinstance(node, ast.stmt) else []
        found += _top_level(node)
    return found


def _imported(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.split(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module.split(".")[0]]
    return []
