"""What a training tells while it runs."""

from __future__ import annotations

from io import StringIO

import pytest

from gluetune.core.terminal import Console
from gluetune.training.progress import Bar, Lines


@pytest.mark.parametrize("reporter", [Lines, Bar])
def test_no_text_of_the_users_rows_drives_the_terminal(reporter: type[Lines | Bar]) -> None:
    out = StringIO()
    reporter(Console(file=out)).say("line 3: pos\x1b[2J\nline 4: [neg]")
    assert out.getvalue() == "line 3: pos\u241b[2J\nline 4: [neg]\n"
