"""The jobs of a suite, what each needs, and which is next."""

from __future__ import annotations

from pathlib import Path

from tests.support.suites import record_of, request

from gluetune.core.records import Status
from gluetune.core.suites import SuiteFolder
from gluetune.core.tasks import GLUE_TASKS
from gluetune.experiments.jobs import block, next_job
from gluetune.experiments.suite.plan import (
    costs,
    default_name,
    plan,
    replan,
    train_arguments,
)
from gluetune.training.settings import merge_settings


def test_every_task_with_every_seed_is_a_job() -> None:
    jobs = plan(request(seeds=(1, 2, 3)))
    assert [job.name for job in jobs[:4]] == ["cola-s1", "cola-s2", "cola-s3", "sst2-s1"]
    assert len({job.name for job in jobs}) == len(jobs) == 27
    assert not any(job.after for job in jobs)


def test_mnli_init_makes_three_tasks_wait_for_mnli_with_their_seed() -> None:
    jobs = plan(request(mnli_init=True))
    after = {job.name: job.after for job in jobs if job.after}
    assert after == {
        f"{task}-s{seed}": f"mnli-s{seed}" for task in ("rte", "mrpc", "stsb") for seed in (42, 43)
    }


def test_the_longest_job_is_next_including_jobs_that_wait_for_it() -> None:
    asked = request(mnli_init=True, seeds=(42,))
    record = record_of(asked)
    guessed = costs(asked)
    assert set(guessed) == {job.name for job in record.jobs}
    order = []
    while (job := next_job(record.jobs, guessed)) is not None:
        order.append(job.task)
        job.state = Status.FINISHED
    assert order[:3] == ["mnli", "qqp", "qnli"]
    assert order[-1] == "wnli"
    assert set(order) == set(GLUE_TASKS)


def test_a_waiting_job_does_not_start_early_or_after_a_failure() -> None:
    record = record_of(request(mnli_init=True, seeds=(42,)))
    guessed = costs(record.request)
    by_task = {job.task: job for job in record.jobs}
    by_task["mnli"].state = Status.RUNNING
    started = []
    while (job := next_job(record.jobs, guessed)) is not None:
        started.append(job.task)
        job.state = Status.FINISHED
    assert set(started) == set(GLUE_TASKS) - {"mnli", "rte", "mrpc", "stsb"}
    assert block(record.jobs) == []
    by_task["mnli"].state = Status.FAILED
    assert {job.task for job in block(record.jobs)} == {"rte", "mrpc", "stsb"}
    assert "mnli-s42, which failed" in (by_task["rte"].error or "")
    assert next_job(record.jobs, guessed) is None


def test_recipes_and_fractions_change_the_estimated_cost() -> None:
    few = costs(request(fraction=0.1))["cola-s42"]
    whole = costs(request())["cola-s42"]
    stable = costs(request(recipe="stable"))["cola-s42"]
    assert few < whole < stable == 4 * whole
    sample = costs(request(data="sample"))
    assert max(sample, key=lambda name: sample[name]).startswith("rte")


def test_a_job_is_trained_with_its_recipe_and_its_source(tmp_path: Path) -> None:
    settings = {"epochs": 2.0, "revision": "main", "training_args": {"adam_epsilon": 1e-7}}
    asked = request(mnli_init=True, recipe="roberta", fraction=0.5, settings=settings)
    record = record_of(asked)
    record.commit = "c" * 40
    jobs = {job.name: job for job in record.jobs}
    cola = train_arguments(record, jobs["cola-s42"], SuiteFolder(tmp_path), {"threads": 3})
    assert cola["model"] == "google-bert/bert-base-cased"
    assert cola["revision"] == "c" * 40
    assert (cola["epochs"], cola["batch_size"], cola["threads"]) == (2.0, 16, 3)
    assert cola["training_args"] == {"adam_beta2": 0.98, "adam_epsilon": 1e-7, "max_grad_norm": 0.0}
    assert cola["output"] == str(tmp_path / "cola-s42")
    rte = train_arguments(record, jobs["rte-s43"], SuiteFolder(tmp_path), {})
    assert rte["model"] == str(tmp_path / "mnli-s43" / "model")
    assert rte["new_head"] is True
    assert "revision" not in rte
    for training in (cola, rte):
        merge_settings(None, None, None, training)


def test_the_folder_name_depends_on_the_request() -> None:
    name = default_name(request(), "google-bert/bert-base-cased")
    assert name == default_name(request(), "google-bert/bert-base-cased")
    assert name.startswith("bert-base-cased-")
    others = [
        request(tasks=("cola",)),
        request(fraction=0.1),
        request(recipe="stable"),
        request(mnli_init=True),
        request(data="sample"),
        request(settings={"epochs": 3.0}),
    ]
    assert default_name(request(seeds=(7,)), "google-bert/bert-base-cased") == name
    assert default_name(request(settings={"epochs": 5}), "google-bert/bert-base-cased") == name, (
        "what is the default is not part of the name"
    )
    names = {name.rpartition("-")[2]}
    names |= {default_name(each, "b").rpartition("-")[2] for each in others}
    assert len(names) == len(others) + 1


def test_other_seeds_are_added_to_finished_jobs_and_replace_others() -> None:
    record = record_of(request(tasks=("mnli", "rte"), seeds=(42, 43), mnli_init=True))
    done, failed = record.jobs[0], record.jobs[1]
    done.state, failed.state = Status.FINISHED, Status.FAILED
    replan(record, request(tasks=("mnli", "rte"), seeds=(44,), mnli_init=True))
    assert [job.name for job in record.jobs] == ["mnli-s42", "mnli-s44", "rte-s44"]
    assert record.jobs[0] is done
    assert record.jobs[2].after == "mnli-s44"
    assert record.request.seeds == (42, 44)
    replan(record, request(tasks=("mnli", "rte"), seeds=(42, 43), mnli_init=True))
    assert [job.name for job in record.jobs] == ["mnli-s42", "mnli-s43", "rte-s42", "rte-s43"]
    assert record.request.seeds == (42, 43)
