"""Fixtures that tests of every floor share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.hub_server import Hub, running_hub


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A local stand-in for the Hub, with a cache of its own; see `Hub.environment`."""
    with running_hub(tmp_path / "hf-home") as started:
        yield started
