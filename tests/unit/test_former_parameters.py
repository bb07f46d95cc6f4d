"""Former names of parameters and methods of public verbs work, with a warning."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

import gluetune
from gluetune.core.errors import RenamedWarning

_CALLS: dict[str, tuple[object, ...]] = {
    "export": ("nowhere/model",),
    "push": ("nowhere/run", "me/model"),
    "push_suite": ("nowhere/suite", "me/model"),
    "serve": ("nowhere/model",),
    "submit": (),
}


@pytest.mark.parametrize("verb", sorted(_CALLS))
def test_tell_is_on_message(verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings: dict[str, Any] = {"port": 0} if verb == "serve" else {}
    with (
        pytest.warns(RenamedWarning, match="tell is now called on_message"),
        pytest.raises(gluetune.GluetuneError),
    ):
        getattr(gluetune, verb)(*_CALLS[verb], tell=print, **settings)


@pytest.mark.parametrize("verb", sorted(_CALLS))
def test_the_new_name_is_in_the_signature_and_does_not_warn(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.chdir(tmp_path)
    settings: dict[str, Any] = {"port": 0} if verb == "serve" else {}
    parameters = inspect.signature(getattr(gluetune, verb)).parameters
    assert "on_message" in parameters
    assert "tell" not in parameters
    with pytest.raises(gluetune.GluetuneError):
        getattr(gluetune, verb)(*_CALLS[verb], on_message=print, **settings)
    assert not [each for each in recwarn if each.category is RenamedWarning]
