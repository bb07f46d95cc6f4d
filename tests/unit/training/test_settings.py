"""How a file's settings and a call's are put together."""

from __future__ import annotations

from pathlib import Path

import pytest

import gluetune


def test_every_mistake_of_a_file_and_a_call_is_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("task: colaa\nepochs: -1\nset: {not_a_field: 1, max_steps: many}\n")
    with pytest.raises(gluetune.ConfigurationError) as caught:
        gluetune.train(config=file, batch_size=0, set={"nor_this": 2, "max_steps": 3})
    told = [finding.message for finding in caught.value.findings]
    assert len(told) == 5
    for part in ("colaa", "epochs = -1", "batch_size = 0", "not_a_field", "nor_this"):
        assert any(part in message for message in told), part
