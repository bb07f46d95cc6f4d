"""A search from its command to its best run: killed, resumed, repeated, read by Optuna."""

from __future__ import annotations

import io
import json
import random
import signal
from pathlib import Path
from typing import Any

import optuna
import pytest
from tests.support.killed_runs import SEARCH_MOMENTS, search_and_die
from tests.support.processes import finish, fork, wait_until
from tests.support.tiny_runs import Bench, outcome

import gluetune
from gluetune import SearchResult
from gluetune.cli.app import main
from gluetune.core.errors import ConfigurationError, RunError
from gluetune.core.runs import Run
from gluetune.experiments.search.study import JOURNAL, open_storage

SPACE = {
    "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "epochs": [1, 2],
    "set.lr_scheduler_type": ["linear", "cosine"],
}
TRIALS = 5
# From the first step on, so that five trials show pruning.
PRUNER = "MedianPruner(n_startup_trials=1)"
_SEED = 4


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"), train=48)


def _given(bench: Bench, **changed: Any) -> dict[str, Any]:
    settings = bench.settings(fraction=0.5)
    fixed = {name: settings[name] for name in settings if name not in ("epochs", "learning_rate")}
    return {
        **fixed,
        "space": SPACE,
        "pruner": PRUNER,
        "trials": TRIALS,
        "output": bench.new_output(),
        **changed,
    }


def _search(bench: Bench, **changed: Any) -> SearchResult:
    return gluetune.search(**_given(bench, **changed), progress=False)


@pytest.fixture(scope="module")
def whole(bench: Bench) -> SearchResult:
    """The search that nothing interrupts."""
    return _search(bench, seeds=2)


def _trials(best: SearchResult) -> list[dict[str, Any]]:
    return [
        {
            "number": row.number,
            "state": row.state,
            "value": row.value,
            "evaluations": (row.evaluation, row.evaluations),
            "parameters": row.parameters,
            "weights": Run(row.run).record.final_weights_sha256,
        }
        for row in best.trials
    ]


def test_a_search_ends_with_its_best_trial_trained_on_all_of_train(whole: SearchResult) -> None:
    states = [row.state for row in whole.trials]
    assert len(states) == TRIALS
    assert {"finished", "pruned"} == set(states)
    values = {row.number: row.value for row in whole.trials if row.state == "finished"}
    assert whole.value == max(value for value in values.values() if value is not None)
    assert whole.value == values[whole.number]
    assert whole.parameters == whole.trials[whole.number].parameters
    assert whole.value == max(epoch.selection or -1 for epoch in whole.run.record.epochs)

    # 48 rows: a fifth is held out, half of the rest is trained on; at last all of them.
    assert whole.run.record.data is not None
    assert whole.run.record.data.rows == {"train": 20, "holdout": 10}
    assert [run.record.seed for run in whole.finals] == [42, 43]
    for run in whole.finals:
        assert run.record.data is not None
        assert run.record.data.rows == {"train": 48, "validation": 12}
        assert run.config.learning_rate == whole.parameters["learning_rate"]
        assert run.model_path.is_dir()
    assert whole.score == pytest.approx(sum(whole.scores) / 2)


def test_only_the_best_trial_keeps_its_model_and_all_keep_their_settings(
    whole: SearchResult,
) -> None:
    with_model = [row.number for row in whole.trials if (row.run / "model").is_dir()]
    assert with_model == [whole.number]
    finished = [row for row in whole.trials if row.state == "finished"]
    other = next(row for row in finished if row.number != whole.number)
    with pytest.raises(RunError, match="a search keeps only that of its best trial") as caught:
        _ = Run(other.run).model_path
    assert f"--config {other.run}/config.yaml" in caught.value.findings[0].hint
    for row in whole.trials:
        run = Run(row.run)
        assert run.status == row.state
        assert (
            run.config.training_args["lr_scheduler_type"] == row.parameters["set.lr_scheduler_type"]
        )
        assert not run.folder.checkpoints.exists()


def test_the_best_trial_is_repeated_bit_for_bit(bench: Bench, whole: SearchResult) -> None:
    config = whole.run.folder.config
    alone = gluetune.train(config=config, output=bench.new_output(), progress=False)
    assert outcome(alone) == outcome(whole.run)


def test_a_finished_search_runs_nothing_and_more_trials_extend_it(
    whole: SearchResult, bench: Bench
) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.folder.rglob("record.json")}
    assert len(before) == TRIALS + 2
    again = _search(bench, output=whole.folder, seeds=2)
    assert _trials(again) == _trials(whole)
    assert {path: path.stat().st_mtime_ns for path in whole.folder.rglob("record.json")} == before
    with pytest.raises(RunError, match="holds another search: pruner was"):
        _search(bench, output=whole.folder, pruner="none")


def test_a_search_killed_repeatedly_is_the_same(bench: Bench, whole: SearchResult) -> None:
    draw = random.Random(_SEED)
    given = _given(bench, final=False, checkpoint_minutes=1e-9)
    moments = [*SEARCH_MOMENTS, "state"]
    draw.shuffle(moments)
    for moment in moments:
        assert search_and_die(moment, 2 if moment == "told" else 1, given) in (
            -signal.SIGKILL,
            0,
        )
    done = gluetune.search(**given, progress=False)
    assert _trials(done) == _trials(whole)
    assert done.finals == ()


def test_optuna_and_its_dashboard_read_the_study(whole: SearchResult) -> None:
    from optuna_dashboard import wsgi

    study = optuna.load_study(study_name=None, storage=open_storage(whole.folder))
    assert len(study.trials) == TRIALS
    assert study.best_value == whole.value
    assert study.direction.name == "MAXIMIZE"

    printed: list[str] = []
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/api/studies",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
    }
    app = wsgi(open_storage(whole.folder))
    body = b"".join(app(environ, lambda status, headers, *rest: printed.append(status)))
    assert printed == ["200 OK"]
    (summary,) = json.loads(body)["study_summaries"]
    assert summary["study_name"] == study.study_name


def test_parallel_trials_can_each_be_repeated_alone(bench: Bench) -> None:
    best = _search(bench, jobs=2, trials=3, pruner="none", final=False)
    assert [row.state for row in best.trials] == ["finished"] * 3
    for row in best.trials[:2]:
        config = Run(row.run).folder.config
        alone = gluetune.train(config=config, output=bench.new_output(), progress=False)
        assert outcome(alone)["epochs"] == outcome(Run(row.run))["epochs"]


def test_functions_of_the_notebook_are_understood(bench: Bench) -> None:
    def hp_space(trial: Any) -> dict[str, Any]:
        return {
            "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
            "num_train_epochs": trial.suggest_int("num_train_epochs", 1, 2),
        }

    best = _search(
        bench,
        space=hp_space,
        objective=lambda metrics: metrics["eval_loss"],
        direction="minimize",
        tune_on="validation",
        trials=3,
        final=False,
    )
    losses = {
        row.number: min(
            epoch.validation_loss for epoch in Run(row.run).record.epochs if epoch.validation_loss
        )
        for row in best.trials
    }
    assert best.value == min(losses.values())
    assert best.number == min(losses, key=lambda number: losses[number])
    assert best.run.record.data is not None
    assert set(best.run.record.data.rows) == {"train", "validation"}


def test_a_failed_trial_is_not_pruned_and_failure_of_all_is_reported(bench: Bench) -> None:
    given = _given(bench, trials=2, space={"set.optim": ["adamw_torch", "no_such_optimiser"]})
    given["space"] = {"set.optim": ["galore_adamw", "apollo_adamw"]}  # packages that are not there
    with pytest.raises(ConfigurationError, match="None of the 2 trials has finished") as caught:
        gluetune.search(**given, progress=False)
    assert "trials" in caught.value.findings[0].hint
    study = optuna.load_study(study_name=None, storage=open_storage(given["output"]))
    assert [trial.state.name for trial in study.trials] == ["FAIL", "FAIL"]
    assert (given["output"] / "search.html").exists()


def _arguments(bench: Bench, space: Path, *more: str) -> list[str]:
    space.write_text(json.dumps(SPACE), encoding="utf-8")
    words = ["search", "cola", "--space", str(space), "--pruner", PRUNER, "--trials", "4"]
    settings = bench.settings(fraction=0.5)
    for name in ("model", "data", "fraction", "threads", "precision"):
        words += [f"--{name}", str(settings[name])]
    return [*words, "--no-final", *more]


def test_after_ctrl_c_the_same_command_resumes_the_search(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = bench.new_output()
    words = _arguments(bench, tmp_path / "space.yaml", "--output", str(output))
    process = fork(words)
    wait_until(process, lambda: (output / "trials" / "0001" / "record.json").exists())
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    assert code == 130
    assert "Traceback" not in err
    assert f"To resume {output}, type the same command again" in err
    assert (output / JOURNAL).exists()

    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 0
    printed = capsys.readouterr()
    assert "trial 0:" not in printed.err
    assert "trial 1 " in printed.err
    assert "4 trials" not in printed.err
    assert "pruned, 0 failed" in printed.out
    assert f"optuna-dashboard {output}/{JOURNAL}" in printed.out
