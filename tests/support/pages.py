"""README.md, CONTRIBUTING.md and docs/ as commands, Python code and tables that readers copy."""

from __future__ import annotations

import doctest
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
)
_PRINTED = ("gluetune ", "torchrun ")
_OUTPUT = ("", "text")
"""Languages of blocks that show output."""
_SHELLS = ("bash", "console", "sh", "shell")
_STARTERS = ("torchrun", "python", "python3")
"""What starts gluetune as a module, behind -m."""
_PYTHON = ("python", "py", "pycon")
_FENCE = re.compile(r"^( *)```(\S*)[^\n]*\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[list[str]]:
    """Return the arguments of every gluetune command on a page.

    These are the commands in shell blocks, in the output that blocks show (also after "Type: "),
    and in inline code.
    """
    lines = [line for block in blocks(page, _SHELLS) for line in typed_lines(block)]
    lines += [line for block in blocks(page, _OUTPUT) for line in _printed_commands(block)]
    lines += [span for span in inline_code(page) if span.startswith(_PRINTED)]
    return [arguments for line in lines for arguments in gluetune_calls(line)]


def _printed_commands(block: str) -> list[str]:
    lines = [line.strip().rpartition("Type: ")[2] for line in block.splitlines()]
    printed = [line for line in lines if re.match(r"(gluetune|torchrun) \S", line)]
    return [line.partition("   #")[0] for line in printed]


def inline_code(page: Path) -> list[str]:
    """Return the inline code of a page's text and tables."""
    return [" ".join(span.split()) for span in spans(prose(page))]


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return _FENCE.sub("", page.read_text("utf-8"))


def links(page: Path) -> list[str]:
    """Return where the links and images of a page lead."""
    without_code = re.sub(r"`[^`]*`", "", prose(page))
    sources = re.findall(r"<(?:img|source|a) [^>]*?(?:src|srcset|href)=\"([^\"]+)\"", without_code)
    return [*re.findall(r"\]\(([^)\s]+)\)", without_code), *sources]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MyST name them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
    return set(plain)


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
    return [
        "\n".join(line.removeprefix(indent) for line in body.splitlines())
        for indent, language, body in _FENCE.findall(page.read_text("utf-8"))
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
