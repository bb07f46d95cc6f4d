"""A checkpoint and GLUE from the Hub, with a local fake Hub that can be made to fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.hub_server import Hub
from tests.support.tiny_checkpoints import write_tiny_checkpoint
from tests.support.tiny_runs import write_task

import gluetune

HUB_SETTINGS: dict[str, Any] = {
    "task": "cola",
    "model": "someone/tiny-bert",
    "epochs": 1,
    "precision": "fp32",
    "threads": 1,
}


@pytest.fixture
def stocked(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub.models["someone/tiny-bert"] = write_tiny_checkpoint(tmp_path / "tiny-bert", "bert")
    hub.datasets["nyu-mll/glue"] = write_task(tmp_path / "glue", "cola")
    hub.use_in_process(monkeypatch)
    monkeypatch.delenv("GLUETUNE_DATA", raising=False)
    return hub


def test_checkpoint_and_data_come_from_the_hub_and_their_names_repeat_the_run(
    stocked: Hub, tmp_path: Path
) -> None:
    run = gluetune.train(**HUB_SETTINGS, output=tmp_path / "run", progress=False)
    model, data = run.record.model, run.record.data
    assert model is not None
    assert data is not None
    assert (model.name, data.source) == ("someone/tiny-bert", "nyu-mll/glue")
    assert model.commit == run.config.revision
    assert model.commit is not None

    stocked.stop()  # what was downloaded is enough
    again = gluetune.train(config=run.folder.config, output=tmp_path / "again", progress=False)
    assert again.record.final_weights_sha256 == run.record.final_weights_sha256


def test_every_failure_of_the_hub_is_reported_with_what_to_type_and_leaves_no_run(
    stocked: Hub, tmp_path: Path
) -> None:
    stocked.fail("tiny-bert", status=503)
    stocked.fail("nyu-mll", status=401)
    with pytest.raises(gluetune.GluetuneError) as caught:
        gluetune.train(**HUB_SETTINGS, output=tmp_path / "run", progress=False)
    findings = caught.value.findings
    assert len(findings) == 2
    assert all(finding.hint for finding in findings)
    assert "nyu-mll/glue" in findings[0].message
    assert "someone/tiny-bert" in findings[1].message
    assert not (tmp_path / "run").exists()

    stocked.heal()
    stocked.truncate("model.safetensors")
    with pytest.raises(gluetune.HubError, match=r"cut short|truncated"):
        gluetune.train(**HUB_SETTINGS, output=tmp_path / "run", progress=False)
    stocked.heal()
    run = gluetune.train(**HUB_SETTINGS, output=tmp_path / "run", progress=False)
    assert run.status == "finished"
