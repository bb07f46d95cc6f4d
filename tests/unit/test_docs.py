"""README.md and docs/: commands parse, Python compiles, links and options exist."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import shlex
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.support.pages import (
    PAGES,
    ROOT,
    anchors,
    commands,
    gluetune_calls,
    inline_code,
    links,
    python_sources,
    spans,
    tables,
)

import gluetune
from gluetune.cli import run_glue
from gluetune.cli.app import app
from gluetune.cli.options import given_settings
from gluetune.core.config import TrainConfig, make_config
from gluetune.core.errors import ConfigurationError

DOCS = ROOT / "docs"
FROM_NOTEBOOK = DOCS / "tutorials" / "from-the-notebook.md"
FROM_RUN_GLUE = DOCS / "reference" / "from-run-glue.md"
COMMANDS = [(page, arguments) for page in PAGES for arguments in commands(page)]
# typer brings a click of its own; this is its UsageError.
USAGE_ERROR = typer.BadParameter.__bases__[0]

SCRIPT_FLAGS = (
    "model_name_or_path",
    "config_name",
    "tokenizer_name",
    "cache_dir",
    "use_fast_tokenizer",
    "model_revision",
    "token",
    "use_auth_token",
    "trust_remote_code",
    "ignore_mismatched_sizes",
    "task_name",
    "dataset_name",
    "dataset_config_name",
    "max_seq_length",
    "overwrite_cache",
    "pad_to_max_length",
    "max_train_samples",
    "max_eval_samples",
    "max_predict_samples",
    "train_file",
    "validation_file",
    "test_file",
)
"""Every flag that run_glue.py defines itself; its others are the fields of TrainingArguments."""


def parse(arguments: list[str]) -> dict[str, Any]:
    """Parse a command line and run nothing; a bare `gluetune VERB` is a mention of the verb.

    Raises AssertionError, the parser's USAGE_ERROR, or ConfigurationError.
    """
    words = run_glue.translate(arguments)
    group: Any = typer.main.get_command(app)
    if not words or words[0].startswith("-"):
        known = {option for parameter in group.params for option in parameter.opts}
        assert set(words) <= known | {"-h", "--help"}, words
        return {}
    assert words[0] in group.commands, f"gluetune has no command {words[0]!r}"
    if len(words) == 1 or not {"-h", "--help"}.isdisjoint(words):
        return {}
    options: dict[str, Any] = group.commands[words[0]].make_context(words[0], words[1:]).params
    if words[0] == "train":
        make_config({"task": task_of(options), **settings_of(options)})
    return options


def task_of(options: Mapping[str, Any]) -> str | None:
    """Return the task that is typed, or any, where a file or a run would say it."""
    return options["task"] or ("cola" if options["config"] or options["resume"] else None)


def settings_of(options: Mapping[str, Any]) -> dict[str, Any]:
    fields = set(TrainConfig.model_fields) - {"task"}
    return given_settings(
        {name: value for name, value in options.items() if value != () and name in fields}
    )


OTHER_PROGRAMS = {"--rates", "--from-runs"}
"""Options of scripts in benchmarks/ that pages mention without the script's name."""


ELSEWHERE = {
    *("site/", "data/", "model/", "predictions/", "onnx/", "checkpoints/", "runs/"),
    *("RUN/baseline/", "RUN/curve/"),
    "examples/pytorch/text-classification/run_glue.py",
}
"""Folders of runs and of what is built, and a file of transformers."""


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize(
    "arguments",
    [arguments for _, arguments in COMMANDS],
    ids=[f"{named(page)}: {shlex.join(arguments)}" for page, arguments in COMMANDS],
)
def test_a_command_of_the_pages_parses(arguments: list[str]) -> None:
    parse(arguments)


def test_every_part_of_the_pages_has_commands() -> None:
    """The pages in subfolders are read too, and what is read is not empty."""
    counts = Counter(named(page).rpartition("/")[0] for page, _ in COMMANDS)
    assert counts[""] >= 10  # README.md
    assert counts["docs/tutorials"] >= 25
    assert counts["docs/how-to"] >= 70
    assert counts["docs/concepts"] >= 3
    assert counts["docs/reference"] >= 5
    assert len([page for page, _ in COMMANDS if page == FROM_NOTEBOOK]) >= 8
    assert len(PAGES) >= 30


def test_the_readme_is_short_and_the_pictures_are_small() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 160
    pictures = sorted((DOCS / "_static").glob("*.png"))
    assert [picture.name for picture in pictures] == ["report.png", "serve.png"]
    assert all(picture.stat().st_size < 200_000 for picture in pictures)


def test_every_verb_has_a_command_on_the_pages() -> None:
    group: Any = typer.main.get_command(app)
    shown = {arguments[0] for _, arguments in COMMANDS if len(arguments) > 1}
    assert set(group.commands) - shown <= {"env"}, "verbs without an example"


def test_every_option_in_inline_code_exists() -> None:
    known = options_of_all_verbs() | OTHER_PROGRAMS
    unknown = {
        f"{named(page)}: {span}"
        for page in PAGES
        if page != FROM_RUN_GLUE
        for span in inline_code(page)
        if span.startswith("--") and span.split()[0].partition("=")[0] not in known
    }
    assert sorted(unknown) == []


def options_of_all_verbs() -> set[str]:
    group: Any = typer.main.get_command(app)
    options = {
        option
        for command in group.commands.values()
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
        if option.startswith("--")
    }
    assert len(options) >= 100
    return options | {"--help", "--version"}


def test_every_link_leads_to_a_file_and_a_heading() -> None:
    checked = [
        (page, link)
        for page in (*PAGES, ROOT / "CHANGELOG.md")
        for link in links(page)
        if "://" not in link
    ]
    broken = [f"{named(page)}: {link}" for page, link in checked if not leads_somewhere(page, link)]
    assert broken == []
    assert len(checked) >= 100


def leads_somewhere(page: Path, link: str) -> bool:
    file, _, anchor = link.partition("#")
    target = (page.parent / file).resolve() if file else page
    return target.exists() and (not anchor or anchor in anchors(target))


@pytest.mark.parametrize("link", ["nothing.md", "index.md#nothing", "#nothing"])
def test_a_broken_link_would_be_found(link: str) -> None:
    assert not leads_somewhere(DOCS / "index.md", link)


def test_every_file_that_the_pages_name_exists() -> None:
    roots = (ROOT, ROOT / "src", ROOT / "src" / "gluetune")
    named_files = {
        (named(page), span)
        for page in PAGES
        for span in inline_code(page)
        if re.fullmatch(r"[\w-]+(/[\w-]+)*(/|/[\w-]+\.py)", span)
    }
    missing = [
        f"{page}: {file}"
        for page, file in sorted(named_files)
        if not any((root / file).exists() for root in roots) and file not in ELSEWHERE
    ]
    assert not missing, "\n".join(missing)
    assert len(named_files) >= 25


def test_every_page_that_messages_and_comments_name_exists() -> None:
    sources = [
        path
        for folder in ("src", "tests", "tools", "benchmarks", "examples", ".ci")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".html", ".js", ".css", ".yaml", "") and path.is_file()
    ]
    mentions = {
        (path.relative_to(ROOT).as_posix(), mention)
        for path in [*sources, ROOT / "Makefile", ROOT / "pyproject.toml"]
        for mention in re.findall(r"\bdocs/[\w/-]+\.md\b", path.read_text("utf-8", "ignore"))
    }
    missing = [(path, page) for path, page in mentions if not (ROOT / page).exists()]
    assert missing == []
    assert mentions


@pytest.mark.parametrize(
    "line",
    [
        "gluetune serach cola",
        "gluetune train cola --no-such-flag 3",
        "gluetune train cola extra",
        "gluetune train colla",
        "gluetune train cola --epochs many",
        "GLUETUNE_DATA=x .venv/bin/gluetune train cola --seed -1 | tail",
        "cd x && gluetune --verison",
        "gluetune train cola --do_predict",
        "torchrun --nproc-per-node 2 -m gluetune train colla",
    ],
)
def test_a_wrong_command_would_be_found(line: str) -> None:
    (arguments,) = gluetune_calls(line)
    with pytest.raises((AssertionError, USAGE_ERROR, ConfigurationError)):
        parse(arguments)


def test_every_python_block_compiles_and_uses_what_exists() -> None:
    sources = [(page, source) for page in PAGES for source in python_sources(page)]
    for page, source in sources:
        assert faults(source) == [], f"{named(page)}:\n{source}"
    assert len(sources) >= 12


def test_the_expressions_of_the_notebook_page_use_what_exists() -> None:
    cells = [row[-1] for table in tables(FROM_NOTEBOOK) for row in table[1:]]
    expressions = [span for cell in cells for span in spans(cell) if "gluetune." in span]
    for expression in expressions:
        assert faults(expression) == [], expression
    assert len(expressions) >= 8


def test_flag_and_argument_are_the_same_setting_on_the_notebook_page() -> None:
    (table,) = [table for table in tables(FROM_NOTEBOOK) if table[0][1:] == ["command", "Python"]]
    pairs = [(spans(flag)[0], spans(python)[0]) for _, flag, python in table[1:] if spans(flag)]
    for flag, python in pairs:
        typed = settings_of(parse(["train", "cola", *shlex.split(flag)]))
        call = ast.parse(f"f({python})", mode="eval").body
        assert isinstance(call, ast.Call)
        given = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
        assert list(typed) == list(given)
        assert make_config({"task": "cola", **typed}) == make_config({"task": "cola", **given})
    assert len(pairs) >= 8


@pytest.mark.parametrize(
    "source",
    [
        "import gluetune.nothing",
        "from gluetune import serch",
        "from gluetune.core.config import nothing",
        "from gluetune.core.config import _finding",
        "gluetune.serch('cola')",
        "gluetune.train('cola', epoch=3)",
        "gluetune.train('cola'",
    ],
)
def test_wrong_python_would_be_found(source: str) -> None:
    assert len(faults(source)) == 1


def faults(source: str) -> list[str]:
    """Return what is wrong with a piece of Python that uses gluetune."""
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        return [str(error)]
    return [fault for node in ast.walk(tree) for fault in _faults_of(node)]


def _faults_of(node: ast.AST) -> list[str]:
    match node:
        case ast.Import():
            names = [alias.name for alias in node.names if _is_ours(alias.name)]
            return [f"there is no module {name}" for name in names if not _has_module(name)]
        case ast.ImportFrom(module=str(module)) if _is_ours(module):
            names = [alias.name for alias in node.names]
            return [f"{module} has no {name}" for name in names if not _is_public(module, name)]
        case ast.Attribute(attr=name) if ast.unparse(node.value) == "gluetune":
            return [] if _is_public("gluetune", name) else [f"gluetune has no {name}"]
        case ast.Call() if ast.unparse(node.func) == "gluetune.train":
            words = [str(word.arg) for word in node.keywords]
            return [f"train takes no {word}" for word in words if word not in _train_arguments()]
    return []


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == "gluetune"


def _has_module(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        return False
    return not any(part.startswith("_") for part in name.split("."))


def _is_public(module: str, name: str) -> bool:
    if module == "gluetune":
        return name in gluetune.__all__
    return (
        not name.startswith("_")
        and _has_module(module)
        and hasattr(importlib.import_module(module), name)
    )


@cache
def _train_arguments() -> frozenset[str]:
    named = {*inspect.signature(gluetune.train).parameters, *TrainConfig.model_fields}
    return frozenset(named - {"settings"})


def flag_rows() -> list[tuple[str, str]]:
    """Return what is typed and what the page says of it, for every row about flags."""
    rows = [row for table in tables(FROM_RUN_GLUE) for row in table[1:]]
    return [
        (spans(typed)[0], (spans(meaning) or [meaning])[0])
        for typed, meaning, _ in rows
        if typed.startswith("`--")
    ]


def test_the_page_of_flags_says_what_the_command_line_does() -> None:
    rows = flag_rows()
    outcomes = {typed: outcome(shlex.split(typed)) for typed, _ in rows}
    wrong = [
        f"{typed}: {outcomes[typed]}, and not {meaning}"
        for typed, meaning in rows
        if outcomes[typed] != meaning
    ]
    assert not wrong, "\n".join(wrong)
    assert len(outcomes) == len(rows) >= 70
    assert {"nothing", "refused"} < set(outcomes.values())


def _context(words: list[str]) -> list[str]:
    """Return what the flags of a row stand beside: a task, or the file that they are about."""
    if {"--task_name", "--train_file", "--dataset_name"} & set(words):
        return []
    of_files = {"--validation_file", "--test_file", "--text_column_name", "--label_column_name"}
    return ["--train-file", "train.csv"] if of_files & set(words) else ["cola"]


def outcome(words: list[str]) -> str:
    """Return what becomes of flags of run_glue.py: gluetune's words, `nothing`, or `refused`."""
    from gluetune.training.arguments import check_set

    try:
        translated = run_glue.translate(["train", *words])[1:]
        task = _context(words)
        options = parse(["train", *task, *translated, "--seed", "1"])
        check_set(settings_of(options).get("training_args", {}))
    except ConfigurationError:
        return "refused"
    return shlex.join(translated) or "nothing"


def test_the_page_of_flags_has_all_that_are_known() -> None:
    words = [word for typed, _ in flag_rows() for word in shlex.split(typed)]
    named = {word.removeprefix("--") for word in words if word.startswith("--")}
    known = {
        *SCRIPT_FLAGS,
        *run_glue.FLAGS,
    }
    assert sorted(known - named) == []
    assert len(known) >= 40


def test_the_page_of_flags_gives_the_defaults_of_both_sides() -> None:
    from transformers import TrainingArguments

    (table,) = [table for table in tables(FROM_RUN_GLUE) if table[0][0] == "setting"]
    theirs = {field.name: field.default for field in dataclasses.fields(TrainingArguments)}
    theirs["max_length"] = 128  # a default of the script's own
    names = {
        "batch_size": "per_device_train_batch_size",
        "eval_batch_size": "per_device_eval_batch_size",
        "epochs": "num_train_epochs",
    }
    for cell, script, ours in table[1:]:
        (name,) = spans(cell)
        default = TrainConfig.model_fields[name].default
        assert float(script) == theirs[names.get(name, name)], name
        assert default is None or float(ours) == default, name
    assert len(table[1:]) >= 7


def test_the_two_commands_of_the_page_of_flags_are_the_same() -> None:
    first, second = [arguments for page, arguments in COMMANDS if page == FROM_RUN_GLUE][:2]
    assert first != second
    assert parse(first) == parse(second)


TROUBLESHOOTING = DOCS / "how-to" / "troubleshooting.md"


@cache
def messages() -> frozenset[str]:
    """Return every text of the package; … stands for the values in it."""
    trees = (ast.parse(file.read_text("utf-8")) for file in (ROOT / "src").rglob("*.py"))
    return frozenset(_text(node) for tree in trees for node in ast.walk(tree)) - {""}


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or "…" for part in node.values)
    return str(node.value) if isinstance(node, ast.Constant) and node.value else ""


def test_every_message_of_the_troubleshooting_page_is_one_of_the_package() -> None:
    found = [row[0] for rows in tables(TROUBLESHOOTING) for row in rows[1:]]
    assert len(found) >= 20
    assert [one for one in found if not any(one in text for text in messages())] == []


def test_a_message_that_is_not_the_packages_would_be_found() -> None:
    assert not any("There is no such message: …." in text for text in messages())
