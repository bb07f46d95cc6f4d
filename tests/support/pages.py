"""README.md and docs/ as what people copy from them: commands, Python, tables."""

from __future__ import annotations

import doctest
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_PRINTED = ("gluetune ", "torchrun ")
_SHELLS = ("bash", "console", "sh", "shell")
_STARTERS = ("torchrun", "python", "python3")
"""What starts gluetune as a module, behind -m."""
_PYTHON = ("python", "py", "pycon")


def commands(page: Path) -> list[list[str]]:
    """Return the arguments of every gluetune command in a page's shell blocks and tables.

    Those that gluetune printed, in blocks of output, are among them.
    """
    lines = [line for block in blocks(page, _SHELLS) for line in typed_lines(block)]
    cells = [cell for table in tables(page) for row in table for cell in row]
    printed = [line.strip() for block in blocks(page, ("",)) for line in block.splitlines()]
    lines += [line.partition("   #")[0] for line in printed if line.startswith(_PRINTED)]
    lines += [span for cell in cells for span in spans(cell) if span.startswith("gluetune ")]
    return [arguments for line in lines for arguments in gluetune_calls(line)]


def python_sources(page: Path) -> list[str]:
    """Return the Python blocks of a page, without prompts and output."""
    sources = []
    for block in blocks(page, _PYTHON):
        examples = doctest.DocTestParser().get_examples(block)
        sources.append("".join(example.source for example in examples) if examples else block)
    return sources


def tables(page: Path) -> list[list[list[str]]]:
    """Return each table as its rows of cells, the heading first."""
    found: list[list[list[str]]] = []
    before = ""
    for line in page.read_text("utf-8").splitlines():
        if line.startswith("|"):
            if not before.startswith("|"):
                found.append([])
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        before = line
    return [[rows[0], *rows[2:]] for rows in found]


def spans(text: str) -> list[str]:
    """Return the inline code of a text."""
    return re.findall(r"`([^`]+)`", text)


def blocks(page: Path, languages: tuple[str, ...]) -> list[str]:
    """Return a page's fenced blocks in any of these languages, without their indentation."""
    fence = re.compile(r"^( *)```(\S*)[^\n]*\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
    return [
        "\n".join(line.removeprefix(indent) for line in body.splitlines())
        for indent, language, body in fence.findall(page.read_text("utf-8"))
        if language in languages
    ]


def typed_lines(block: str) -> list[str]:
    """Return the lines of a shell block that are typed: those after a prompt, where one is."""
    lines = block.replace("\\\n", " ").splitlines()
    prompted = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return prompted or lines


def gluetune_calls(line: str) -> Iterator[list[str]]:
    """Yield the arguments of every call of gluetune in a line of shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    command: list[str] = []
    for word in [*lexer, ";"]:
        if word and set(word) <= set("();<>|&"):
            while command and re.fullmatch(r"[A-Z_]+=.*", command[0]):
                command = command[1:]
            if command and Path(command[0]).name == "gluetune":
                yield command[1:]
            elif command[:1] and Path(command[0]).name in _STARTERS and "gluetune" in command:
                yield command[command.index("gluetune") + 1 :]
            command = []
        else:
            command.append(word)
