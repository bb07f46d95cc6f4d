"""A bench of small trainings, and what comes of one that nothing interrupts."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.tiny_runs import Bench, outcome


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """40 rows in batches of 16: three steps an epoch, nine in all."""
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def whole(bench: Bench) -> dict[str, Any]:
    """What comes of a run that nothing interrupts."""
    return outcome(bench.train())
