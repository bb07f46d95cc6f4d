"""What a terminal shows at once, before libraries and models are loaded."""

from __future__ import annotations

import sys

import pytest

from gluetune.core.terminal import Console, start_waiting, stop_waiting

pexpect = pytest.importorskip("pexpect")


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize(
    "words", [("train", "--model"), ("serve",), ("predict",), ("search", "--model")]
)
def test_a_line_comes_before_torch_is_imported_and_leaves_nothing_behind(
    words: tuple[str, ...], width: int
) -> None:
    """No time is asserted: torch, whose import takes seconds, is still absent when it comes."""
    code = (
        "import sys; from gluetune.core import terminal; start = terminal.start_waiting\n"
        "def seen(text):\n"
        "    start(text); print('\\n' + ('late' if 'torch' in sys.modules else 'early'))\n"
        "terminal.start_waiting = seen\n"
        f"from gluetune.cli.app import main; main({[*words, 'runs/no']!r})"
    )
    child = pexpect.spawn(sys.executable, ["-c", code], dimensions=(24, width), timeout=60)
    child.expect(f"gluetune {words[0]}: loading")
    child.expect("early")
    child.close(force=True)


def test_the_line_is_erased_by_what_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Console, "is_terminal", True)
    start_waiting("loading")
    Console().say("result")
    shown = capsys.readouterr()
    assert "loading" in shown.err
    assert shown.err.endswith("\r\x1b[2K")
    assert shown.out == "result\n"
    stop_waiting()
    assert capsys.readouterr().err == "", "once"


def test_files_and_pipes_get_no_such_line(capsys: pytest.CaptureFixture[str]) -> None:
    start_waiting("loading")
    stop_waiting()
    assert capsys.readouterr().err == ""
