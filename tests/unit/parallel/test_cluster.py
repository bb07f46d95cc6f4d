"""The settings of a cluster: all mistakes are one message, before any run."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.tiny_runs import Bench

import gluetune
from gluetune.cli.app import main
from gluetune.core.errors import ConfigurationError, DataError, TrainingError
from gluetune.parallel.ray import Cluster, capacity, connect, make_cluster
from gluetune.training.ray_training import raise_reported, report_failure


def test_without_an_address_there_is_no_cluster() -> None:
    assert make_cluster(None) is None
    assert make_cluster("auto") == Cluster("auto", 1.0, 0.0)
    found = make_cluster("host:6379", "2", "0.5")
    assert found == Cluster("host:6379", 2.0, 0.5)
    assert found.threads == 2
    assert Cluster("auto", 0.5).threads == 1


def test_all_mistakes_about_a_cluster_are_reported_together() -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_cluster(None, "many", 1)
    printed = [str(finding) for finding in caught.value.findings]
    assert len(printed) == 3
    assert "--cpus-per-trial many needs a cluster" in printed[0]
    assert "--cpus-per-trial many is not a valid amount" in printed[1]
    assert "--gpus-per-trial 1 needs a cluster" in printed[2]
    with pytest.raises(ConfigurationError, match="--cpus-per-process 0 is not a valid amount"):
        make_cluster("auto", 0, each="process")


def test_the_number_of_jobs_that_fit_a_cluster() -> None:
    assert capacity(Cluster("auto", 2.0), {"CPU": 7.0}) == 3
    assert capacity(Cluster("auto", 1.0, 0.5), {"CPU": 8.0, "GPU": 2.0}) == 4
    assert capacity(Cluster("auto", 0.1), {"CPU": 0.3}) == 3
    assert capacity(Cluster("auto", 1.0, 1.0), {"CPU": 8.0}) == 0


def test_a_missing_ray_installation_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigurationError, match="not installed") as caught:
        connect(Cluster("auto"))
    assert "pip install 'gluetune[ray]'" in caught.value.findings[0].hint


@pytest.mark.parametrize("verb", ["search", "train"])
def test_an_unreachable_cluster_is_reported(
    tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = Bench(tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [verb, *bench.arguments()[1:], "--output", str(tmp_path / "out")]
    if verb == "search":
        place = words.index("--learning-rate")
        del words[place : place + 2]
    with pytest.raises(SystemExit) as caught:
        main([*words, "--ray", f"127.0.0.1:{port}"])
    assert caught.value.code == 2
    printed = capsys.readouterr().err
    assert f"--ray 127.0.0.1:{port}: the cluster cannot be reached" in printed
    assert "ray start --head" in printed
    assert "Traceback" not in printed
    assert not (tmp_path / "out").exists()


def test_an_invalid_address_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with pytest.raises(ConfigurationError, match="--ray nonsense is not an address"):
        gluetune.train("cola", data="sample", ray="nonsense", progress=False)


def test_an_error_of_one_process_reaches_the_driver(tmp_path: Path) -> None:
    path = tmp_path / "failure.json"
    raise_reported(path)
    reported: Any = DataError("line 3 is ragged", hint="Mend it.")
    reported.reported_elsewhere = True
    report_failure(path, reported)
    raise_reported(path)
    report_failure(path, DataError("line 3 is ragged", hint="Mend it."))
    with pytest.raises(DataError, match="line 3 is ragged") as caught:
        raise_reported(path)
    assert caught.value.findings[0].hint == "Mend it."
    report_failure(path, TrainingError("The loss is not finite."))
    with pytest.raises(TrainingError, match="not finite"):
        raise_reported(path)
