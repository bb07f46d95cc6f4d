"""Markdown and its YAML front matter, made of text that may hold anything.

Text of unknown origin stays text: what CommonMark and GitHub's extensions would take for markup is
escaped (CommonMark 0.31, section 2.4), and a line break or another control character becomes its
picture, so that no value can begin a line.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import yaml

from gluetune.visible_text import visible, visible_lines

# Line openers (#, -, 1.) need no escape: no value stands at the beginning of a line.
# Nor does an underscore inside a word.
_MARKUP = re.compile(r"[\\`*\[\]<>|~$&@]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=[wW]{3})\.")


class Markdown(str):
    """Text that is Markdown already, and is not escaped again."""

    __slots__ = ()


def escape(text: str) -> Markdown:
    """Return Markdown that reads as `text`, in a paragraph or in a cell of a table."""
    return Markdown(_MARKUP.sub(r"\\\g<0>", visible(text)))


def fenced(text: str, language: str = "") -> Markdown:
    """Return `text` as a block of code, with a fence that it cannot close."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return Markdown(f"{fence}{language}\n{visible_lines(text)}\n{fence}")


def front_matter(values: dict[str, Any]) -> Markdown:
    """Return values as a model card's front matter, fences included.

    Only ASCII is written: what YAML would take for a line break, or refuse, is then a harmless
    escape, and no text can hold the fence.
    """
    text = yaml.dump(
        values, Dumper=_Dumper, sort_keys=False, allow_unicode=False, width=10_000, line_break="\n"
    )
    return Markdown(f"---\n{text}---")


class _Dumper(yaml.SafeDumper):
    """Writes text in double quotes wherever a plain word would not do."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if re.fullmatch(r"[A-Za-z][\w./ -]*", text, re.ASCII) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


@cache
def environment() -> Any:
    """Return Jinja's environment, in which every text of a template's values is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("gluetune.publishing"),
        autoescape=False,  # that would be HTML's; `finalize` escapes for Markdown
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["fenced"] = fenced
    return made


def _finalize(value: Any) -> Any:
    return escape(value) if isinstance(value, str) and not isinstance(value, Markdown) else value
