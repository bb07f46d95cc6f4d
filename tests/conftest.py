"""Fixtures that tests of every floor share."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.support.hub_server import TOKEN, Hub, running_hub

# torch and tokenizers read these on import, which no test has done yet. A second thread would only
# wait for products as small as these, and the processes of `pytest -n 2` for each other.
os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}

# Whoever starts the tests in the background has Ctrl-C ignored, by every process that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Encoded data are kept in a cache of the tests' own, not in the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLUETUNE_CACHE", str(tmp_path_factory.mktemp("gluetune-cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_disk() -> Iterator[None]:
    """Do not wait for the disk: a run asks for it 60 times, and no test cuts the power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="module", autouse=True)
def _imports_are_not_garbage() -> None:
    """Spare the collector all that was imported: Trainer calls it at every start, for a second."""
    gc.freeze()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A local stand-in for the Hub, with a cache of its own; see `Hub.environment`."""
    with running_hub(tmp_path / "hf-home") as started:
        yield started


@pytest.fixture
def writable(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """Return a Hub that this process may write to as `me`, and that is not waited for."""
    import huggingface_hub.file_download
    import huggingface_hub.utils._http

    from gluetune.hub import uploads as hub_uploads

    hub.use_in_process(monkeypatch)
    hub.owners[TOKEN] = "me"
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(hub_uploads, "_PATIENCE", 0.0)
    for module in (huggingface_hub.file_download, huggingface_hub.utils._http):
        monkeypatch.setattr(module, "time", SimpleNamespace(sleep=lambda seconds: None))
    return hub
