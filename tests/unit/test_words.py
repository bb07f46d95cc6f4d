"""The words of gluetune: the field's standard terms in pages, help, messages and names.

`AVOIDED` lists what we do not write, with what to write instead. Pages are free of it. For the code
there are upper limits, which may only be lowered.
"""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.support.pages import PAGES, ROOT
from typer.testing import CliRunner

import gluetune
from gluetune.cli.app import app

AVOIDED = {
    r"tell|tells|telling|told": "report, print, log, state",
    r"asked|asks?(?! for\b)|asking(?! for\b)": "run, load, request, query",
    r"(?:un)?answer(?:s|ed|ing)?": "prediction, predict; response, respond",
    r"beside": "next to, in addition to; also reported",
    r"(?:held|holds?|holding)(?: \w+){0,3} against": "compared with; baselines",
    r"as often as (?:it|they) says?": "calibration",
    r"shares? right": "accuracy",
    r"hardest|furthest from the truth": "worst errors, highest loss",
    r"(?:to be )?relied on": "unreliable",
    r"kinds? (?:classes|number|labels)": "single_label, regression, multi_label",
    r"learnt": "newly initialised; learned",
    r"ways? through (?:the|a) model": "execution path",
    r"(?:fast|faster|slower|plain|padded) ways?": "execution path",
    r"(?:take|takes|taken|took|taking)(?: \w+)? up": "resume",
    r"(?:go|goes|going|gone|went) on": "resume, continue",
    r"mend(?:s|ed|ing)?": "fix",
    r"trainings": "runs",
    r"(?:a|one|each|every|another) training"
    r"(?= (?:is|was|on|that|of|with|in|ends|stops)\b|[.,;:)]|$)": "run",
    r"one after (?:another|the other)": "sequentially",
    r"at once": "together; immediately",
    r"without a word": "silently",
    r"(?:the )?makers of gluetune": "please report this bug",
    r"outliv\w+": "exit with parent",
    r"befall\w*|befell": "happen to, affect",
    r"stands?|stood": "is, are; be given",
    r"lies?": "is, are",
    r"(?:is|are|was|were|be) said|and said": "reported, printed",
    r"the data says?": "gold label",
    r"how it came about": "evaluation protocol",
    r"mind (?:whose|that)": "note, make sure",
    r"judged?|judges|judging": "evaluate",
    r"trained with at last": "final runs",
    r"who may \w+": "access control",
    r"name by which": "allowed Host header",
    r"to the bit": "bit for bit, bit-identical",
}
"""What is not written, as regular expressions of whole words in any case, and its replacement."""

FORMER_NAMES = re.compile(
    r"Answer|Answered|Asked|Measured|PredictedFile|Pushed|Said|Stepped|Teller|Tried"
)
"""Names of classes that were renamed: Prediction, Request, Evaluation, FilePredictions, …"""

_PATTERNS = [
    (re.compile(rf"(?<![\w/-])(?:{pattern})(?![\w-])", re.IGNORECASE), instead)
    for pattern, instead in AVOIDED.items()
]
_PACKAGE = ROOT / "src" / "gluetune"
_TEMPLATES = (".html", ".md", ".js", ".j2", ".txt")


@dataclass(frozen=True)
class Hit:
    """An avoided word, and where it is."""

    place: str
    words: str
    instead: str

    def __str__(self) -> str:
        return f"{self.place}: {self.words!r}: write {self.instead}"


def hits(text: str, place: str) -> list[Hit]:
    """Return the avoided words of a text, in which a line may end between two words."""
    text = " ".join(text.split())
    return [
        Hit(place, text[max(0, found.start() - 20) : found.end() + 20], instead)
        for pattern, instead in _PATTERNS
        for found in pattern.finditer(text)
    ]


def report(found: list[Hit]) -> str:
    return "\n".join(map(str, found))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_has_none_of_the_avoided_words(page: Path) -> None:
    text = re.sub(r"\]\([^)]*\)", "]", page.read_text("utf-8"))
    paragraphs = text.split("\n\n")
    found = [hit for each in paragraphs for hit in hits(each, page.name)]
    assert not found, report(found)


def test_results_and_the_notebook_have_none_of_the_avoided_words() -> None:
    notebook = ROOT / "notebooks" / "text_classification_on_glue.ipynb"
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    texts = [
        (notebook.name, "".join(cell["source"]))
        for cell in cells
        if cell["cell_type"] == "markdown"
    ]
    results = sorted((ROOT / "benchmarks" / "results").rglob("*.md"))
    texts += [(path.name, path.read_text("utf-8")) for path in results]
    assert len(cells) > 40
    assert len(results) >= 10
    found = [
        hit for place, text in texts for each in text.split("\n\n") for hit in hits(each, place)
    ]
    assert not found, report(found)


def test_the_unreleased_changes_have_none_of_the_avoided_words() -> None:
    unreleased = (ROOT / "CHANGELOG.md").read_text("utf-8").partition("## Unreleased")[2]
    assert len(unreleased) > 1000
    text = re.sub(r"`[^`]*`", "…", unreleased)  # former names are in code
    found = [hit for line in text.split("\n- ") for hit in hits(line, "CHANGELOG.md")]
    assert not found, report(found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Everything is told\nat once.", 2),
        ("The score is held against the majority class.", 1),
        ("A server may be asked by name.", 1),
        ("new weights, to be learnt from this data", 1),
        ("task, answerable, standard, outstanding, at oncology", 0),
        ("The page asks for a key.", 0),
        ("the training set, a training file, one training example", 0),
        ("One training is shared by several processes.", 1),
    ],
)
def test_the_patterns_find_what_they_should(text: str, words: int) -> None:
    assert len(hits(text, "")) == words


def at_most(limit: int, found: list[Hit]) -> None:
    """Fail where there are more hits than `limit`, which may only be lowered."""
    rooms = Counter(re.split("[/:]", hit.place)[0] for hit in found)
    assert len(found) <= limit, f"{len(found)} > {limit}: {dict(rooms)}\n{report(found)}"


def test_help_has_no_more_of_the_avoided_words_than_before() -> None:
    group: Any = typer.main.get_command(app)
    runner = CliRunner()
    found: list[Hit] = []
    for verb in group.commands:
        shown = runner.invoke(app, [verb, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
        assert shown.exit_code == 0
        assert len(shown.output) > 300
        text = re.sub(r"[│╭╮╰╯─]", " ", shown.output)
        found += hits(text, verb)
    at_most(HELP_LIMIT, found)


def test_messages_have_no_more_of_the_avoided_words_than_before() -> None:
    found = [hit for path in modules() for hit in hits_of(path, messages(path))]
    found += [hit for path in templates() for hit in hits_of(path, visible_text(path))]
    assert len(modules()) > 80
    at_most(MESSAGE_LIMIT, found)


def test_docstrings_and_comments_have_no_more_of_the_avoided_words_than_before() -> None:
    found = [
        hit for path in modules() for hit in hits_of(path, [*docstrings(path), *comments(path)])
    ]
    at_most(DOCSTRING_LIMIT, found)


def test_exported_names_are_not_former_names() -> None:
    former = {name for name in gluetune.__all__ if FORMER_NAMES.fullmatch(name)}
    assert former <= FORMER_NAMES_LEFT, f"renamed: {former}"


def test_messages_are_found_in_the_code(tmp_path: Path) -> None:
    """Plain and formatted strings are read; docstrings and names are not messages."""
    path = tmp_path / "module.py"
    path.write_text(
        '"""All is told."""\n'
        "def f(x):\n"
        '    """It is told."""\n'
        '    raise E(f"{x} is told at once", hint="Told" " to type")  # asked\n'
        "told = 1\n"
    )
    assert [text for _, text in messages(path)] == ["… is told at once", "Told to type"]
    assert [text for _, text in docstrings(path)] == ["All is told.", "It is told."]
    assert [text for _, text in comments(path)] == ["# asked"]


def hits_of(path: Path, texts: list[tuple[int, str]]) -> list[Hit]:
    name = path.relative_to(_PACKAGE).as_posix() if path.is_relative_to(_PACKAGE) else path.name
    return [hit for line, text in texts for hit in hits(text, f"{name}:{line}")]


def modules() -> list[Path]:
    return sorted(_PACKAGE.rglob("*.py"))


def templates() -> list[Path]:
    return sorted(path for path in _PACKAGE.rglob("*") if path.suffix in _TEMPLATES)


def messages(path: Path) -> list[tuple[int, str]]:
    """Return every string of a module that is neither a docstring nor a single word."""
    tree = ast.parse(path.read_text("utf-8"))
    skipped = {id(node) for node in _docstring_nodes(tree)}
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(part) for part in node.values}
            found.append((node.lineno, _formatted(node)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found += [(node.lineno, node.value)] if id(node) not in skipped else []
    return [(line, text) for line, text in found if " " in text.strip()]


def visible_text(path: Path) -> list[tuple[int, str]]:
    """Return the text of a template without its markup; of a script its longer strings."""
    text = path.read_text("utf-8")
    if path.suffix == ".js":
        texts = re.findall(r"\"[^\"\n]* [^\"\n]*\"|`[^`]* [^`]*`", text)
    else:
        texts = [re.sub(r"<[^>]*>|\{[{%#].*?[}%#]\}", " ", text, flags=re.DOTALL)]
    return [(1, each) for each in texts]


def docstrings(path: Path) -> list[tuple[int, str]]:
    """Return every docstring of a module, those of attributes among them."""
    tree = ast.parse(path.read_text("utf-8"))
    return [(node.lineno, str(node.value)) for node in _docstring_nodes(tree)]


def comments(path: Path) -> list[tuple[int, str]]:
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline)
    return [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]


def _docstring_nodes(tree: ast.AST) -> Iterator[ast.Constant]:
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str()) as constant):
                yield constant


def _formatted(node: ast.JoinedStr) -> str:
    return "".join(
        str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values
    )


FORMER_NAMES_LEFT: set[str] = set()
HELP_LIMIT = 0
MESSAGE_LIMIT = 0
DOCSTRING_LIMIT = 0
