"""The Dockerfile, read where no Docker is needed: what it copies, who runs it, what it starts."""

from __future__ import annotations

import json
import re
import tomllib

import pytest
import typer.main
from tests.support.pages import ROOT

from gluetune.cli.app import app


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(None, 1)[0], line.split(None, 1)[1].strip()) for line in lines]


def _of(instructions: list[tuple[str, str]], name: str) -> list[str]:
    return [rest for word, rest in instructions if word == name]


def test_every_file_that_is_copied_exists_and_is_in_the_context(
    instructions: list[tuple[str, str]],
) -> None:
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for line in _of(instructions, "COPY"):
        for name in line.split()[:-1]:
            assert (ROOT / name).exists(), name
            assert f"!{name}" in kept, name


def test_the_python_is_one_that_the_project_supports(instructions: list[tuple[str, str]]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (image,) = _of(instructions, "FROM")
    version = re.fullmatch(r"python:(\d+\.\d+)-slim", image)
    assert version is not None
    assert f"Programming Language :: Python :: {version[1]}" in project["classifiers"]
    (install,) = _of(instructions, "RUN")
    extras = re.search(r"'\.\[([a-z,]+)\]'", install)
    assert extras is not None
    assert {*extras[1].split(",")} <= project["optional-dependencies"].keys()
    assert "-c constraints.txt" in install


def test_the_server_is_not_run_by_root_and_its_command_parses(
    instructions: list[tuple[str, str]],
) -> None:
    words = [word for word, _ in instructions]
    assert words.index("USER") < words.index("ENTRYPOINT")
    assert _of(instructions, "USER") != ["root"]
    (entry,), (command,) = (_of(instructions, name) for name in ("ENTRYPOINT", "CMD"))
    assert json.loads(entry) == ["gluetune"]
    verb, *rest = json.loads(command)
    group = typer.main.get_command(app)
    context = group.commands[verb].make_context(verb, rest)  # type: ignore[attr-defined]  # a group
    assert context.params["model"] == "/model"
    assert context.params["host"] == "0.0.0.0"


def test_the_check_of_health_is_python_that_compiles(instructions: list[tuple[str, str]]) -> None:
    (check,) = _of(instructions, "HEALTHCHECK")
    program, flag, code = json.loads(check[check.index("[") :])
    assert (program, flag) == ("python", "-c")
    compile(code, "HEALTHCHECK", "exec")
    assert "/health" in code
