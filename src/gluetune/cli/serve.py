"""`gluetune serve`: a web page and an API for a trained model."""

from __future__ import annotations

from typing import Any

from gluetune.cli.options import Model, given_settings, options_of
from gluetune.cli.verb import loads
from gluetune.core.inference_settings import LoadSettings
from gluetune.core.settings import make_settings
from gluetune.core.terminal import Console
from gluetune.serving.settings import Limits, ServeSettings


@loads
@options_of(LoadSettings)
@options_of(ServeSettings)
@options_of(Limits)
def serve(model: Model, **options: Any) -> None:
    """Serve predictions over HTTP: a web page and an API."""
    limits = make_settings(Limits, given_settings(options, Limits))
    from gluetune.serving.server import serve as serve_model

    console = Console()
    serve_model(
        model,
        limits=limits,
        on_message=console.say,
        **given_settings(options, LoadSettings, ServeSettings),
    )
