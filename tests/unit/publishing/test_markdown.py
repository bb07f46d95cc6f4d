from __future__ import annotations

import re

import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from gluetune.core.text import visible
from gluetune.publishing.readme import Markdown, environment, escape, fenced, front_matter

HOSTILE = (
    "a | b",
    "`code`",
    "<script>alert(1)</script>",
    "two\nlines",
    "# head\n\n- item",
    "[link](javascript:alert(1))",
    "![image](https://example.org/x.png)",
    "https://example.org and www.example.org",
    "__init__ *bold* ~~gone~~ $x$",
    "&lt;b&gt; &amp;",
    "\\`\\|\\",
    "---\nlicense: mit\n---",
    "'\": {}[]#!%@`",
)
MARKUP = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")
texts = st.text() | st.text(alphabet="|`<>*_[]()!\\~&$#-\n x") | st.sampled_from(HOSTILE)


def read(markdown: str) -> tuple[str, set[str]]:
    """Return what a reader sees of one paragraph or cell, and the kinds of markup in it."""
    inline = [token for token in MARKUP.parse(markdown) if token.type == "inline"]
    parts = [part for token in inline for part in token.children or ()]
    return "".join(part.content for part in parts), {part.type for part in parts}


def plain(text: str) -> str:
    return " ".join(visible(text).split())


@given(texts)
def test_any_text_in_a_paragraph_stays_that_text(text: str) -> None:
    seen, kinds = read(f"Name: {escape(text)}.")
    assert plain(seen) == plain(f"Name: {text}.")
    assert kinds <= {"text", "text_special"}


@given(texts)
def test_any_text_in_a_cell_stays_in_its_cell(text: str) -> None:
    table = f"| a | b |\n|---|---|\n| {escape(text)} | end |\n"
    tokens = MARKUP.parse(table)
    assert [token.type for token in tokens].count("td_open") == 2
    cells = [token for token in tokens if token.type == "inline"][2:]
    seen = "".join(part.content for part in cells[0].children or ())
    assert plain(seen) == plain(text)
    assert {part.type for part in cells[0].children or ()} <= {"text", "text_special"}
    assert cells[1].content == "end"


@given(texts)
@example("```\n# out")
@example("~~~\n`````")
def test_any_text_in_a_block_of_code_stays_in_it(text: str) -> None:
    tokens = MARKUP.parse(f"{fenced(text, 'bash')}\n\nafter\n")
    assert [token.type for token in tokens][:2] == ["fence", "paragraph_open"]
    assert tokens[0].content.removesuffix("\n") == "\n".join(map(visible, text.split("\n")))


@given(st.dictionaries(texts, texts | st.lists(texts) | st.floats(allow_nan=False)))
@example({"name": "---\nx: y\n---"})
@example({"name": "\u2028\x85\ufeff\ud7ff"})
def test_front_matter_comes_back_as_it_was(values: dict[str, object]) -> None:
    made = front_matter(values)
    assert yaml.safe_load(made.removeprefix("---\n").removesuffix("---")) == values
    # The Hub's own reading: the first line that is a fence ends it.
    found = re.match(r"---\n(.*?)^---", f"{made}\n\n# body\n", re.DOTALL | re.MULTILINE)
    assert found is not None
    assert yaml.safe_load(found[1]) == values


def test_a_template_escapes_what_is_not_markdown_yet() -> None:
    template = environment().from_string("{{ text }} {{ markup }} {{ 3 }}")
    assert template.render(text="a|b", markup=Markdown("*b*")) == r"a\|b *b* 3"
