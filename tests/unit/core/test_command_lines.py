"""Commands in messages: each is made by `command_line`, is quoted, and is read by the parser."""

from __future__ import annotations

import ast
import re
import shlex
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.support.pages import ROOT
from tests.unit.test_docs import USAGE_ERROR, parse

from gluetune.cli.app import app, hint_for
from gluetune.core.command_lines import REST, Verb, command_line, in_processes, options, typed
from gluetune.core.config import TrainConfig, typed_settings

SOURCES = sorted((ROOT / "src" / "gluetune").rglob("*.py"))
VERBS = typing.get_args(Verb)
COMMAND = re.compile(rf"\bgluetune (?:{'|'.join(VERBS)})\b")
VALUE = "\0"
"""Stands for a value in the text of an f-string."""

GROUP: Any = typer.main.get_command(app)


@cache
def trees() -> list[tuple[Path, ast.Module]]:
    return [(path, ast.parse(path.read_text("utf-8"))) for path in SOURCES]


def docstrings(tree: ast.Module) -> set[ast.AST]:
    """Return the strings that document, or stand below what they document."""
    return {each.value for each in ast.walk(tree) if isinstance(each, ast.Expr)}


def texts(tree: ast.Module) -> Iterator[tuple[ast.expr, str]]:
    """Yield every string with its text, where VALUE stands for what is put in."""
    documenting = docstrings(tree)
    parts = {
        part for each in ast.walk(tree) if isinstance(each, ast.JoinedStr) for part in each.values
    }
    for each in ast.walk(tree):
        if each in parts or each in documenting:
            continue
        if isinstance(each, ast.JoinedStr):
            yield (
                each,
                "".join(
                    str(part.value) if isinstance(part, ast.Constant) else VALUE
                    for part in each.values
                ),
            )
        elif isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each, each.value


def patched(text: str) -> bool:
    """Say whether a command is put together from text and values, or from two texts."""
    found = list(COMMAND.finditer(text))
    behind = text[found[-1].end() :] if found else ""
    command = re.split(r"[`;:\n]|, |\. ", behind)[0]
    return VALUE in command or (command == behind and behind.endswith(" "))


def test_every_command_with_a_value_is_made_by_command_line() -> None:
    wrong = [
        f"{path.name}:{each.lineno}: {text}"
        for path, tree in trees()
        for each, text in texts(tree)
        if patched(text)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "source",
    [
        'hint = f"Type: gluetune train --resume {path}"',
        'hint = "Type: gluetune train --resume " + str(path)',
        'hint = f"Again: gluetune push {path} me/x, or not"',
    ],
)
def test_a_command_put_together_by_hand_would_be_found(source: str) -> None:
    assert any(patched(text) for _, text in texts(ast.parse(source)))


@cache
def literal_commands() -> list[str]:
    """Return the commands that stand in messages as they are."""
    found = []
    for _, tree in trees():
        for _, text in texts(tree):
            for command in re.findall(rf"{COMMAND.pattern}[^`\n;#)]*", text):
                alone = re.split(r", |\. |: | …|\.$", command)[0]
                found.append(re.sub(r"[\[\]]", "", alone).strip())
    return found


@pytest.mark.parametrize("command", sorted(set(literal_commands())))
def test_a_command_of_a_message_parses(command: str) -> None:
    parse([word for word in shlex.split(command)[1:] if word != REST])


def test_messages_have_commands() -> None:
    assert len(literal_commands()) >= 10


@cache
def made_commands() -> list[tuple[str, str, list[str], bool]]:
    """Return place, verb, settings and whether words are given, of each command that is made."""
    found = []
    for path, tree in trees():
        for each in ast.walk(tree):
            if not isinstance(each, ast.Call):
                continue
            maker = each.func.attr if isinstance(each.func, ast.Attribute) else None
            maker = each.func.id if isinstance(each.func, ast.Name) else maker
            names = [keyword.arg for keyword in each.keywords if keyword.arg is not None]
            place = f"{path.name}:{each.lineno}"
            if maker == "command_with":
                found.append((place, "train", names, False))
            elif maker == "command_line" and isinstance(each.args[0], ast.Constant):
                found.append((place, str(each.args[0].value), names, len(each.args) > 1))
    return found


@pytest.mark.parametrize(
    ("verb", "names", "has_words"),
    [each[1:] for each in made_commands()],
    ids=[" ".join(each[:2]) for each in made_commands()],
)
def test_a_verb_has_the_options_that_are_printed(
    verb: str, names: list[str], has_words: bool
) -> None:
    known = {parameter.name: parameter for parameter in GROUP.commands[verb].params}
    assert set(names) <= known.keys(), f"gluetune {verb} has no {set(names) - known.keys()}"
    if has_words:
        assert any(each.param_type_name == "argument" for each in known.values())


def test_commands_are_made() -> None:
    assert len(made_commands()) >= 30


def test_every_verb_can_be_printed() -> None:
    assert set(VERBS) == set(GROUP.commands)


def test_words_are_quoted() -> None:
    made = command_line("predict", Path("my runs/it's"), "Some text.", output=Path("a b.csv"))
    assert shlex.split(made) == [
        *("gluetune", "predict", "my runs/it's", "Some text.", "--output", "a b.csv")
    ]
    assert parse(shlex.split(made)[1:])["texts"] == ["Some text."]
    assert typed("rm", "-r", "a b") == "rm -r 'a b'"


def test_settings_are_options() -> None:
    made = command_line(
        "train",
        "cola",
        REST,
        max_length=None,
        new_head=False,
        trust_remote_code=True,
        label_order=("no", "yes"),
        set={"optim": "adamw_torch", "run_name": "a b: c", "max_grad_norm": 0.5, "x": "true"},
    )
    assert made == (
        "gluetune train cola … --trust-remote-code --label-order no,yes --set optim=adamw_torch "
        "--set 'run_name=\"a b: c\"' --set max_grad_norm=0.5 --set 'x=\"true\"'"
    )
    assert options(config="a b.yaml") == "--config 'a b.yaml'"


@pytest.mark.parametrize(("count", "started"), [(None, ""), (1, ""), (3, "torchrun")])
def test_several_processes_are_started_by_torchrun(count: int | None, started: str) -> None:
    made = in_processes(count, command_line("train", resume="a b"))
    assert made.startswith(started or "gluetune")
    assert made.endswith("gluetune train --resume 'a b'")


def test_every_setting_is_said_as_the_parser_reads_it() -> None:
    """Each switch on and off: only those that are on by default have a `--no-…`."""
    switches = {
        name for name, field in TrainConfig.model_fields.items() if field.annotation is bool
    }
    assert {"compact_vocabulary", "new_head"} <= switches
    for value in (True, False):
        said = command_line(
            "train", "cola", **typed_settings(dict.fromkeys(switches, value) | {"max_length": None})
        )
        read = parse(shlex.split(said)[1:])
        for name in switches:
            default = TrainConfig.model_fields[name].default
            assert (default if read[name] is None else read[name]) is value, name


def test_a_wrong_option_would_be_found() -> None:
    with pytest.raises(USAGE_ERROR):
        parse(shlex.split(command_line("report", "runs/x", onnx=True))[1:])


@pytest.mark.parametrize(
    ("verb", "hint", "expected"),
    [
        ("predict", "Add --trust-remote-code.", ""),
        ("show", "Add --trust-remote-code.", "`gluetune show` has no --trust-remote-code: "),
        ("serve", "Name one with --split.", "`gluetune serve` has no --split: "),
        ("serve", "Type: gluetune train --resume runs/x", ""),
        ("report", "Type: pip install --upgrade gluetune", ""),
        ("", "Add --trust-remote-code.", ""),
    ],
)
def test_a_hint_says_where_the_verb_lacks_its_option(verb: str, hint: str, expected: str) -> None:
    said = hint_for(verb, hint)
    assert said.startswith(hint)
    assert expected in said
    assert bool(expected) == (said != hint)
