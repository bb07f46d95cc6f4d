"""README.md of a repository that is pushed to repeatedly: our section, and its owner's text.

A push writes between two invisible marks. Text outside of them is kept. In the front matter, keys
that we do not write are kept, lists hold the owner's entries in addition to ours, and what an
earlier push wrote (`written`, from the manifest) is replaced.

Values are escaped: what CommonMark and GitHub's extensions read as markup (CommonMark 0.31,
section 2.4), and line breaks and other control characters, so that no value can begin a line.

`.gluetune/manifest.json` lists the files that pushes have written. Only a file that is listed and
unchanged may be deleted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gluetune.core.settings_files import read_yaml
from gluetune.core.text import markdown_text, visible_lines
from gluetune.data.sources import HUB_REPOSITORY
from gluetune.metrics.registry import METRICS, hub_name
from gluetune.publishing.model_files import PublishedFile

BEGIN, END = "<!-- gluetune:begin -->", "<!-- gluetune:end -->"
_ADVICE = "<!-- `gluetune push` replaces what is between these marks: write before or behind. -->"

_OUR_WARNINGS = ("> **Warning:**", "> **Mind:**")
"""How a warning of ours begins, in this release and in the one before."""
_MARK = rf"^[ \t]*(?:{re.escape(BEGIN)}|{re.escape(END)})[ \t]*\r?$"
_MARKED = re.compile(
    rf"^[ \t]*{re.escape(BEGIN)}[ \t]*\r?\n"
    rf"(?:(?!{_MARK})[^\n]*\n)*"
    rf"[ \t]*{re.escape(END)}[ \t]*(?=\r?$)",
    re.MULTILINE,
)
"""A section with both marks, and no mark between them."""
_FRONT = re.compile(r"\A\s*---[ \t]*\r?\n(.*?\n|)---[ \t]*(?:\r?\n|\Z)", re.DOTALL)

_SECTIONS = ("Score", "Data", "Limits", "How to load it", "How it was trained")
"""Headings of the cards that pushes wrote before there were marks."""
_MADE_FOR = ", fine-tuned for "
"""In the first sentence of such a card."""
_TAG = "gluetune"


class UnreadableReadmeError(ValueError):
    """The front matter of a README.md is not a YAML mapping."""


@dataclass(frozen=True)
class _Readme:
    metadata: dict[str, Any]
    body: str

    @classmethod
    def of(cls, text: str) -> _Readme:
        text = text.removeprefix("\ufeff")  # an editor's byte order mark would hide the metadata
        found = _FRONT.match(text)
        if found is None:
            return cls({}, text)
        try:
            values = read_yaml(found[1])
        except yaml.YAMLError as error:
            raise UnreadableReadmeError(" ".join(str(error).split())) from error
        if not isinstance(values, dict | None):
            raise UnreadableReadmeError("it is not a YAML mapping")
        return cls(dict(values or {}), text[found.end() :])


def metadata_of(card: str) -> dict[str, Any]:
    """Return a card's front matter. Raises UnreadableReadmeError."""
    return _Readme.of(card).metadata


def is_ours(text: str) -> bool:
    """Return whether a push wrote a README.md: it has our marks, or an older card's sections."""
    readme = _Readme.of(text)
    return _MARKED.search(readme.body) is not None or _is_older_card(readme)


def merge_readme(
    card: str, existing: str | None = None, written: Mapping[str, Any] | None = None
) -> str:
    """Return a repository's README.md with `card` as its section between the marks.

    Args:
        card: The new card: front matter and text.
        existing: The repository's README.md.
        written: Front matter that an earlier push wrote; None if unknown.

    Raises UnreadableReadmeError if the front matter of `existing` cannot be read.
    """
    new, old = _Readme.of(card), _Readme.of(existing or "")
    if written is None:
        written = _written_before(old) if _is_older_card(old) else {}
    metadata = _merge_metadata(new.metadata, _without(old.metadata, written))
    text = new.body.strip("\n").replace("<!-- gluetune:", "<!-- gluetune :")
    section = f"{BEGIN}\n{_ADVICE}\n\n{text}\n\n{END}"
    return f"{front_matter(metadata)}\n{_merge_body(section, old)}"


def _merge_metadata(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Merge our metadata with the owner's: our keys win, and lists are united."""
    merged: dict[str, Any] = {}
    for key, value in ours.items():
        other = theirs.get(key)
        is_list = isinstance(value, list) or isinstance(other, list) or key == "language"
        more = [one for one in _listed(other) if one not in _listed(value)] if is_list else []
        merged[key] = [*_listed(value), *more] if more else value
    return merged | {key: value for key, value in theirs.items() if key not in ours}


def _without(metadata: Mapping[str, Any], written: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata without what an earlier push wrote."""
    left = {}
    for key, value in metadata.items():
        if key not in written:
            left[key] = value
        elif isinstance(value, list) or key == "language":
            if kept := [one for one in _listed(value) if one not in _listed(written[key])]:
                left[key] = kept
        elif value != written[key]:
            left[key] = value
    return left


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def _merge_body(section: str, old: _Readme) -> str:
    if marked := _MARKED.search(old.body):
        # If the section was copied, each copy is ours; the text between them is not.
        behind = _MARKED.sub("", old.body[marked.end() :])
        return old.body[: marked.start()] + section + behind
    before, after = _owners_text(old)
    before = f"{before.rstrip()}\n\n" if before.strip() else "\n"
    after = f"\n\n{after.strip()}\n" if after.strip() else "\n"
    return f"{before}{section}{after}"


def _owners_text(old: _Readme) -> tuple[str, str]:
    """Return the text before and behind our section in a README.md without marks."""
    # One of the two marks may have been deleted.
    lines = [line for line in old.body.splitlines() if line.strip() not in (BEGIN, END, _ADVICE)]
    if not _is_older_card(old):
        return "\n".join(lines), ""
    before: list[str] = []
    after: list[str] = []
    ours = dict.fromkeys(_SECTIONS, False)
    has_begun = False
    for heading, block in _blocks(lines):
        if not has_begun:
            has_begun = heading.startswith("# ") and any(_MADE_FOR in line for line in block)
            if has_begun:
                after += _behind_title(block)
            else:
                before += block
        elif ours.get(name := heading.removeprefix("## ")) is False and heading == f"## {name}":
            ours[name] = True
            after += _behind_command(block) if name == _SECTIONS[-1] else []
        else:
            after += block
    return "\n".join(before), "\n".join(after)


def _behind_title(block: list[str]) -> list[str]:
    """Return what an owner added below our title: all but the first sentence and our warnings."""
    paragraphs = [part.split("\n") for part in re.split(r"\n\s*\n", "\n".join(block[1:]).strip())]
    added = [part for part in paragraphs[1:] if not part[0].startswith(_OUR_WARNINGS)]
    return [line for part in added for line in (*part, "")]


def _behind_command(block: list[str]) -> list[str]:
    """Return what an owner added behind the last fence of our last section."""
    fences = [number for number, line in enumerate(block) if line.startswith("```")]
    return block[fences[1] + 1 :] if len(fences) > 1 else []


def _is_older_card(readme: _Readme) -> bool:
    if _TAG not in _listed(readme.metadata.get("tags")):
        return False
    headings = [heading for heading, _ in _blocks(readme.body.splitlines())]
    places = [headings.index(f"## {name}") for name in _SECTIONS if f"## {name}" in headings]
    return len(places) == len(_SECTIONS) and places == sorted(places) and (_MADE_FOR in readme.body)


def _written_before(old: _Readme) -> dict[str, Any]:
    """Return the metadata of an older card whose keys are those that pushes wrote."""
    return {
        **{key: old.metadata.get(key) for key in ("library_name", "pipeline_tag", "base_model")},
        "model-index": old.metadata.get("model-index"),
        "language": ["en"],
        "datasets": [HUB_REPOSITORY],
        "metrics": list(map(hub_name, METRICS)),
        "tags": [_TAG, "generated_from_trainer"],
    }


def _blocks(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each heading with its lines, itself first; "" for the lines before the first one.

    A fenced line is no heading.
    """
    heading, block, fence = "", list[str](), ""
    for line in lines:
        opened = re.match(r" {0,3}(`{3,}|~{3,})", line)
        if fence:
            closes = opened and opened[1].startswith(fence) and not line.strip("`~ \t")
            fence = "" if closes else fence
        elif opened:
            fence = opened[1]
        elif re.match(r"#{1,6} ", line):
            yield heading, block
            heading, block = line.rstrip(), []
        block.append(line)
    yield heading, block


class Markdown(str):
    """Text that is Markdown, and is not escaped."""

    __slots__ = ()


def escape(text: str) -> Markdown:
    """Return Markdown that reads as `text`, in a paragraph or in a cell of a table."""
    return Markdown(markdown_text(text))


def fenced(text: str, language: str = "") -> Markdown:
    """Return `text` as a code block, with a fence that it cannot close."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return Markdown(f"{fence}{language}\n{visible_lines(text)}\n{fence}")


def front_matter(values: dict[str, Any]) -> Markdown:
    """Return values as a model card's front matter, fences included.

    Only ASCII is written: line breaks and characters that YAML refuses are escaped, and no text can
    contain the fence.
    """
    text = yaml.dump(
        values, Dumper=_Dumper, sort_keys=False, allow_unicode=False, width=10_000, line_break="\n"
    )
    return Markdown(f"---\n{text}---")


class _Dumper(yaml.SafeDumper):
    """Writes text in double quotes unless it is a plain word."""


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


NAME = ".gluetune/manifest.json"
_VERSION = 1


class _File(BaseModel):
    """A file's digests: the Hub identifies large files by sha256, small ones by git_blob."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    sha256: str
    git_blob: str


class Manifest(BaseModel):
    """The manifest. Fields of later versions are ignored."""

    version: int = _VERSION
    files: dict[str, _File] = Field(default_factory=dict)
    metadata: dict[str, Any] = Field(default_factory=dict)
    """Front matter that we wrote into README.md."""

    @classmethod
    def of(cls, files: Sequence[PublishedFile], metadata: Mapping[str, Any]) -> Manifest:
        """Return the manifest of a push of `files`."""
        digests = {
            file.name: _File(sha256=file.sha256, git_blob=file.git_blob)
            for file in sorted(files, key=lambda file: file.name)
        }
        return cls(files=digests, metadata=dict(metadata))

    def stale(self, there: Mapping[str, str], names: Sequence[str]) -> list[str]:
        """Return the files that we wrote, that are unchanged since, and that are not in `names`.

        `there` are the digests of the files in the repository.
        """
        return sorted(
            name
            for name, file in self.files.items()
            if name not in names and there.get(name) in (file.sha256, file.git_blob)
        )

    def published(self) -> PublishedFile:
        """Return the file to write."""
        text = json.dumps(self.model_dump(), indent=2, ensure_ascii=False)
        return PublishedFile(NAME, f"{text}\n".encode())


def read_manifest(content: bytes | None) -> Manifest | None:
    """Parse the manifest; None if there is none or it cannot be read."""
    if content is None:
        return None
    try:
        return Manifest.model_validate_json(content)
    except ValidationError:
        return None
