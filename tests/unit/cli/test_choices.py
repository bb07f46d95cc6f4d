"""Options that take one of a few words."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from gluetune.cli.app import app
from gluetune.core.errors import ConfigurationError
from gluetune.core.inference_settings import LoadSettings
from gluetune.core.settings import make_settings


def test_a_known_word_is_given_back() -> None:
    assert make_settings(LoadSettings, {"precision": "bf16"}).precision == "bf16"


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "RUN", "text", "--backend", "tpu"],
        ["serve", "RUN", "--backend", "tpu"],
        ["serve", "RUN", "--precision", "fp8"],
    ],
)
def test_another_is_refused_with_all_that_there_are(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, ConfigurationError)
    name = arguments[-2].removeprefix("--")
    assert f"{name} = '{arguments[-1]}': choose from " in str(done.exception)
    assert f"Type: --{name} " in str(done.exception)
