"""Text of unknown origin and paths, as they are shown."""

from __future__ import annotations

import sys
import unicodedata
from pathlib import Path

import pytest

from gluetune.core.text import from_here, visible, visible_lines


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "my (folder)"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_paths_inside_the_working_folder_are_as_one_types_them(here: Path) -> None:
    assert from_here(f"{here}/a.csv:3 and {here}/b/c.csv") == "a.csv:3 and b/c.csv"


def test_other_paths_stay_whole(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in (f"{here}2/a.csv", f"/mnt{here}/a.csv", f"{here}/", str(here), "/etc/a.csv"):
        assert from_here(text) == text
    monkeypatch.chdir("/")
    assert from_here("/etc/a.csv") == "/etc/a.csv"


@pytest.mark.parametrize("number", [*range(0x20), 0x7F])
def test_controls_of_ascii_have_their_pictures(number: int) -> None:
    picture = chr(0x2400 + number) if number < 0x7F else "\u2421"
    assert visible(f"a{chr(number)}b") == f"a{picture}b"


def test_everything_that_is_not_seen_is_seen() -> None:
    shown_by_fonts = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
    for number in range(sys.maxunicode + 1):
        kind = unicodedata.category(chr(number))
        if kind in ("Cc", "Cf", "Cs", "Zl", "Zp") and number not in shown_by_fonts:
            assert chr(number) not in visible(f"a{chr(number)}b"), hex(number)


@pytest.mark.parametrize("code", ["2066", "2067", "2068", "2069", "200e", "200f", "061c", "feff"])
def test_what_reorders_a_line_or_has_no_width_is_seen(code: str) -> None:
    assert visible(f"gut{chr(int(code, 16))}hcs") == "gut\ufffdhcs"
    assert visible_lines(f"a\nb{chr(int(code, 16))}") == "a\nb\ufffd"


@pytest.mark.parametrize(
    "text",
    [
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family
        "\u2764\ufe0f\u200d\U0001f525",  # a heart on fire
        "\U0001f642\u200d\u2194\ufe0f",  # a shaking head: an arrow is a sign of mathematics
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian
        "\u0915\u094d\u200d\u0937",  # Devanagari
        "plain, gr\u00fcn, \u4e2d\u6587, \u05e9\u05dc\u05d5\u05dd",
    ],
)
def test_joiners_stay_where_they_join(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    "text", ["jo\u200dy", "jo\u200cy", "\u200djoy", "joy\u200d", "\u200c", "\u0645\u200c a"]
)
def test_joiners_elsewhere_are_seen(text: str) -> None:
    assert "\ufffd" in visible(text)
    assert not {"\u200c", "\u200d"} & set(visible(text))
