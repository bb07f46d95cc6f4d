"""A run pushed to the fake Hub: completely, interrupted, refused, repeated, and loaded by name."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries
from tests.support.hub_server import TOKEN, Hub
from tests.support.tiny_checkpoints import write_tiny_checkpoint
from tests.support.tiny_runs import Bench, write_task

import gluetune
from gluetune.cli.app import main
from gluetune.core.runs import Run
from gluetune.publishing import upload
from gluetune.publishing.upload import Verification

REPO = "me/my-cola"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("push"))


@pytest.fixture(scope="module")
def trained(bench: Bench) -> Run:
    return bench.train("cola", epochs=2)


@pytest.fixture
def run(trained: Run, tmp_path: Path) -> Run:
    """Return a copy of the run that a test may spoil."""
    return Run(shutil.copytree(trained.path, tmp_path / "run"))


@pytest.fixture(scope="module")
def suite(bench: Bench) -> Path:
    settings = bench.settings("rte") | bench.settings("cola", epochs=1)
    settings.pop("task")
    made = gluetune.suite(
        tasks=["cola", "rte"],
        seeds=[3, 4],
        output=bench.folder / "suite",
        progress=False,
        **settings,
    )
    assert not made.failed
    return made.path


def test_a_suite_becomes_a_repository_for_each_task_in_a_collection(
    writable: Hub, suite: Path
) -> None:
    for _ in range(2):  # what is there already is not sent again
        pushed = gluetune.push_suite(suite, "me/tiny", collection="Tiny on GLUE")
    assert [one.status for one in pushed] == ["unchanged", "unchanged"]
    assert set(writable.models) >= {"me/tiny-cola", "me/tiny-rte"}
    assert list(writable.collections.values()) == [["me/tiny-cola", "me/tiny-rte"]]
    assert all("3" in one.card for one in pushed), "the first seed's"
    assert gluetune.load("me/tiny-rte", task="rte")("a b", "c").label


def test_the_command_pushes_a_suites_seed_and_refuses_one_that_it_lacks(
    writable: Hub, suite: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed("push", str(suite), "me/tiny", "--seed", "4", "--dry-run") == 0
    reported = capsys.readouterr()
    assert "2 runs of seed 4" in reported.err
    assert "me/tiny-rte" in reported.out
    assert "me/tiny-rte" not in writable.models
    assert typed("push", str(suite), "me/tiny", "--seed", "5") == 2
    assert "has no seed 5" in capsys.readouterr().err
    run = next(path.parent for path in suite.glob("*/record.json"))
    assert typed("push", str(run), "me/one", "--collection", "x") == 2
    assert "are for suites" in capsys.readouterr().err


def typed(*words: str) -> int:
    """Return what `gluetune` exits with."""
    with pytest.raises(SystemExit) as left:
        main(words)
    return int(left.value.code or 0)


def test_a_push_is_one_commit_read_back_and_compared(writable: Hub, run: Run) -> None:
    pushed = gluetune.push(run, REPO)
    assert (pushed.status, pushed.made, pushed.private) == ("uploaded", True, False)
    served = writable.models[REPO]
    names = {path.relative_to(served).as_posix() for path in served.rglob("*") if path.is_file()}
    assert names == {
        ".gitattributes",
        ".gluetune/manifest.json",
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert len(writable.commits) == 1
    assert writable.commits[0][:2] == (REPO, "main")
    assert pushed.verification is not None
    assert pushed.verification.rows == 12
    assert pushed.verification.largest_difference is not None
    assert pushed.verification.largest_difference < 1e-5
    assert (served / "README.md").read_text() == pushed.card

    again = gluetune.push(run, REPO)
    assert (again.status, again.made, again.commit) == ("unchanged", False, pushed.commit)
    assert again.verification == pushed.verification
    assert len(writable.commits) == 1


def test_what_is_pushed_loads_by_name_everywhere(
    writable: Hub, bench: Bench, run: Run, tmp_path: Path
) -> None:
    gluetune.push(run, REPO)
    kept = run.predictions()
    texts = ["A b c.", "D e f g h."]
    here = gluetune.load(run.path)
    there = gluetune.load(REPO, precision=run.config.precision)
    assert there.labels == here.labels
    assert np.allclose(there.logits(texts), here.logits(texts), atol=1e-5)

    # The model's config.json says which task it is for.
    measured = gluetune.evaluate(REPO, data=str(bench.data), precision=run.config.precision)
    assert measured.score.score == run.score
    assert measured.predictions["validation"].predicted.tolist() == kept["prediction"].to_pylist()

    file = tmp_path / "texts.jsonl"
    file.write_text("".join(json.dumps({"sentence": text}) + "\n" for text in texts))
    gluetune.predict(there, file, output=tmp_path / "answers.jsonl", text="sentence")
    answers = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert [answer["label"] for answer in answers] == [one.label for one in here(texts)]

    more = bench.train("cola", model=REPO, epochs=1, output=tmp_path / "more")
    assert more.record.model is not None
    assert more.record.model.name == REPO
    assert more.record.model.new_weights == []  # the head came along, its labels matched by name

    code = (
        "from transformers import AutoModelForSequenceClassification, pipeline; import json;"
        f"p = pipeline('text-classification', '{REPO}');"
        f"m = AutoModelForSequenceClassification.from_pretrained('{REPO}');"
        f"print(json.dumps([[a['label'] for a in p({texts})], m.config.id2label]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=writable.environment | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    labels, names = json.loads(done.stdout.splitlines()[-1])
    assert labels == [one.label for one in here(texts)]
    assert names == {"0": "unacceptable", "1": "acceptable"}


STAGES = {
    "create": "POST /api/repos/create",
    "info": r"GET /api/models/me/[^/]+/revision/main$",
    "tree": "GET /api/models/me/[^/]+/tree",
    "card": "POST /api/validate-yaml",
    "preupload": "POST /api/models/me/[^/]+/preupload",
    "batch": r"POST /me/[^/]+\.git/info/lfs/objects/batch",
    "put": "PUT /lfs/",
    "verify": r"POST /me/[^/]+\.git/info/lfs/verify",
    "commit": "POST /api/models/me/[^/]+/commit",
    "download": "GET /me/[^/]+/resolve",
}
FAULTS = (401, 403, 409, 429, 503, "drop", "truncate", "lose")
HARMLESS = {("verify", "truncate")}  # its status says all that it says
"""Faults that do not keep a push from its end."""


def failure_of(run: Run, repo: str) -> gluetune.GluetuneError | None:
    try:
        gluetune.push(run, repo)
    except gluetune.GluetuneError as error:
        return error
    return None


@pytest.mark.parametrize("stage", STAGES)
def test_every_failure_at_every_stage_is_one_message_and_a_repeat_completes(
    writable: Hub, trained: Run, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    # Bytes are compared all the same; answers are in the tests above.
    monkeypatch.setattr(upload, "check_predictions", lambda *given: Verification(0, None, "a test"))
    harmless: set[tuple[str, int | str]] = set()
    for fault in FAULTS:
        repo = f"me/cola-{fault}"
        writable.blobs.clear()
        writable.commits.clear()
        if isinstance(fault, int):
            writable.fail(STAGES[stage], status=fault)
        else:
            getattr(writable, fault)(STAGES[stage])
        failure = failure_of(trained, repo)
        if failure is None:
            harmless.add((stage, fault))
        else:
            (finding,) = failure.findings
            assert finding.hint, finding
            assert TOKEN not in str(failure)
            is_there = stage == "download" or (stage, fault) in {
                ("commit", "lose"),
                ("commit", "truncate"),
            }
            assert len(writable.commits) == is_there, finding
            assert ("not verified" in finding.message) == (stage == "download"), finding
        writable.heal()
        assert gluetune.push(trained, repo).verification is not None
        assert len(writable.commits) == 1
        assert (writable.models[repo] / "model.safetensors").read_bytes() == (
            trained.model_path / "model.safetensors"
        ).read_bytes()
    assert harmless == {known for known in HARMLESS if known[0] == stage}


def test_a_branch_and_a_private_repository(writable: Hub, run: Run) -> None:
    first = gluetune.push(run, REPO, private=True, message="The first")
    assert first.private
    assert REPO in writable.private
    assert writable.commits == [(REPO, "main", "The first")]
    (writable.models[REPO] / "config.json").write_text("{}")  # main moves on
    branch = gluetune.push(run, REPO, revision="seed-42")
    assert (branch.status, branch.revision) == ("uploaded", "seed-42")
    assert (writable.models[REPO] / "config.json").read_text() == "{}"
    assert gluetune.load(REPO, revision="seed-42").labels == ("unacceptable", "acceptable")
    assert gluetune.load(f"{REPO}@seed-42").labels == ("unacceptable", "acceptable")
    with pytest.raises(gluetune.CheckpointError, match="are two revisions"):
        gluetune.load(f"{REPO}@seed-42", revision="main")
    with pytest.raises(gluetune.RunError, match=f"There is no run {REPO}"):
        gluetune.compare(run, REPO)
    assert "revision='seed-42'" in branch.card


def test_a_public_repository_is_not_made_private_silently(writable: Hub, run: Run) -> None:
    gluetune.push(run, REPO)
    with pytest.raises(gluetune.ConfigurationError, match="is public"):
        gluetune.push(run, REPO, private=True)


OWNED = {
    "model_comparison.png": b"\x89PNG",
    "models/notes.md": b"mine",
    "modeling_custom.py": b"x = 1",
    "model_license.txt": b"mine",
    "adapter_notes.md": b"mine",
    "pytorch_model.bin": b"old weights",
    "tokenizer.model": b"mine",
    "merges.txt": b"#version: 0.2",
    "vocab.txt": b"mine",
    ".eval_results/glue-rte.yaml": b"- mine: 1",
    ".gluetune/notes.txt": b"mine",
}


def _served(hub: Hub, repo: str = REPO) -> dict[str, bytes]:
    folder = hub.models[repo]
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _put(hub: Hub, files: dict[str, bytes], repo: str = REPO) -> None:
    for name, content in files.items():
        path = hub.models[repo] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def test_a_push_deletes_only_files_of_earlier_pushes(
    writable: Hub, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    writable.models[REPO] = write_tiny_checkpoint(tmp_path / "other", "roberta")
    readme = "---\nlicense: mit\nlanguage: fr\ntags: [mine]\n---\n# Mine\n\n## License\n\nMIT\n"
    _put(writable, OWNED | {"README.md": readme.encode()})
    assert typed("push", str(run.path), REPO) == 0
    shown = capsys.readouterr().out
    assert "kept     merges.txt" in shown
    assert "which stays in the history" in shown, "weights of the same name are replaced"
    for _ in range(2):
        served = _served(writable)
        assert {name: served.get(name) for name in OWNED} == OWNED
        text = served["README.md"].decode()
        assert "# Mine\n\n## License\n\nMIT\n" in text
        data: Any = ModelCard(text).data
        assert (data.license, data.language) == ("mit", "fr")
        assert data.tags == ["gluetune", "generated_from_trainer", "mine"]
        assert gluetune.push(run, REPO).status == "unchanged"
    assert gluetune.load(REPO).labels == ("unacceptable", "acceptable")


def test_a_push_deletes_unchanged_files_of_an_earlier_push(writable: Hub, run: Run) -> None:
    for name in ("special_tokens_map.json", "added_tokens.json", "vocab.txt"):
        (run.model_path / name).write_text("{}")
    gluetune.push(run, REPO)
    _put(writable, {"added_tokens.json": b'{"mine": 1}', **OWNED, "vocab.txt": b"{}"})
    text = (writable.models[REPO] / "README.md").read_text()
    owned = text.replace("tags:", "license: mit\ntags:") + "\n## License\n\nMIT\n"
    _put(writable, {"README.md": owned.encode()})
    for name in ("special_tokens_map.json", "added_tokens.json", "vocab.txt"):
        (run.model_path / name).unlink()
    pushed = gluetune.push(run, REPO)
    assert pushed.removed == ("special_tokens_map.json", "vocab.txt")
    served = _served(writable)
    assert served["added_tokens.json"] == b'{"mine": 1}'
    assert {"special_tokens_map.json", "vocab.txt"}.isdisjoint(served)
    left = {name: content for name, content in OWNED.items() if name != "vocab.txt"}
    assert {name: served.get(name) for name in left} == left
    assert pushed.card.endswith("## License\n\nMIT\n")
    assert "license: mit" in pushed.card
    assert served["README.md"].decode() == pushed.card
    assert gluetune.push(run, REPO).status == "unchanged"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"files": {"config.json": 1}}'])
def test_files_are_not_deleted_with_a_damaged_manifest(
    writable: Hub, run: Run, content: bytes
) -> None:
    gluetune.push(run, REPO)
    _put(writable, {".gluetune/manifest.json": content, "vocab.txt": b"whose"})
    pushed = gluetune.push(run, REPO)
    assert pushed.removed == ()
    assert "vocab.txt" in _served(writable)
    assert json.loads(_served(writable)[".gluetune/manifest.json"])["files"]


def test_conflicting_files_of_another_model_are_named_with_how_to_delete_them(
    writable: Hub, run: Run
) -> None:
    writable.models[REPO] = writable.new_folder(REPO)
    _put(writable, {"README.md": b"# Mine\n", "added_tokens.json": b'{"[NEW]": 5000}'})
    with pytest.raises(gluetune.HubError) as caught:
        gluetune.push(run, REPO)
    (finding,) = caught.value.findings
    assert "it is not verified" in finding.message
    assert "gluetune-push-" not in finding.message, "a folder that is gone by now"
    assert finding.hint.endswith(f"hf repos delete-files {REPO} added_tokens.json")
    assert _served(writable)["added_tokens.json"] == b'{"[NEW]": 5000}'


def test_a_push_without_a_manifest_is_recognised(writable: Hub, run: Run) -> None:
    gluetune.push(run, REPO)
    text = (writable.models[REPO] / "README.md").read_text()
    bare = "\n".join(line for line in text.split("\n") if not line.startswith("<!--"))
    _put(writable, {"README.md": bare.encode(), ".eval_results/glue-rte.yaml": b"- value: 1"})
    (writable.models[REPO] / ".gluetune" / "manifest.json").unlink()
    _put(writable, {"notes.md": b"mine", "special_tokens_map.json": b"{}"})
    pushed = gluetune.push(run, REPO)
    assert pushed.removed == (".eval_results/glue-rte.yaml",), "a score of another model"
    assert pushed.card.strip() == text.strip()
    assert {"notes.md", "special_tokens_map.json"} <= set(_served(writable))


@pytest.mark.parametrize("readme", [b"---\na: [\n---\n# Mine\n", b"\xff\xfe# Mine"])
def test_a_readme_that_cannot_be_read_is_not_overwritten(
    writable: Hub, run: Run, tmp_path: Path, readme: bytes
) -> None:
    writable.models[REPO] = tmp_path / "there"
    writable.models[REPO].mkdir()
    _put(writable, {"README.md": readme})
    with pytest.raises(gluetune.HubError, match="its owner's text cannot be kept"):
        gluetune.push(run, REPO)
    assert _served(writable) == {"README.md": readme}


def test_all_mistakes_are_reported_before_anything_is_sent(writable: Hub, run: Run) -> None:
    (run.model_path / "training_args.bin").write_bytes(b"pickle")
    (run.model_path / "optimizer.pt").write_bytes(b"pickle")
    with (run.model_path / "model.safetensors").open("ab") as file:
        file.write(b"changed")
    with pytest.raises(gluetune.ConfigurationError) as caught:
        gluetune.push(run, "no-owner", revision="a b")
    messages = [finding.message for finding in caught.value.findings]
    assert len(messages) == 5
    assert "'no-owner' cannot be the name" in messages[0]
    assert "--revision 'a b'" in messages[1]
    assert "optimizer.pt can run code" in messages[2]
    assert "training_args.bin can run code" in messages[3]
    assert "not those of the record" in messages[4]
    assert writable.requests == []


def test_a_secret_is_refused_with_file_and_line_and_is_not_repeated(
    writable: Hub, run: Run, tmp_path: Path
) -> None:
    planted = "ghp_" + "a1" * 20
    path = run.model_path / "tokenizer_config.json"
    path.write_text(json.dumps({"one": 1, "key": planted, "own": TOKEN}, indent=1))
    with pytest.raises(gluetune.ConfigurationError) as caught:
        gluetune.push(run, REPO)
    messages = [finding.message for finding in caught.value.findings]
    assert [message.split(" Nothing")[0] for message in messages] == [
        f"{path}:3 holds what looks like a GitHub token.",
        f"{path}:4 holds what looks like a Hugging Face token.",
        f"{path}:4 holds what looks like the token of this machine.",
    ]
    assert planted not in str(caught.value)
    assert writable.requests == []


def test_a_missing_token_or_network_is_reported_with_what_to_type(
    writable: Hub, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(gluetune.HubError, match="There is no token") as caught:
        gluetune.push(run, REPO)
    assert "hf auth login" in caught.value.findings[0].hint
    assert writable.requests == []

    monkeypatch.setenv("HF_TOKEN", TOKEN)
    writable.stop()
    with pytest.raises(gluetune.HubError, match="cannot be reached") as caught:
        gluetune.push(run, REPO)
    assert f"gluetune push {run.path} {REPO}" in caught.value.findings[0].hint


def test_another_users_name_and_an_invalid_token(
    writable: Hub, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(gluetune.HubError, match=r"no write access to .*\(403\)"):
        gluetune.push(run, "somebody/else")
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 34)
    with pytest.raises(gluetune.HubError, match=r"rejected the token .*\(401\)"):
        gluetune.push(run, REPO)


def test_a_dry_run_shows_card_and_files_without_requests(
    writable: Hub, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    assert typed("push", str(run.path), REPO, "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "# my-cola" in shown
    assert "model.safetensors" in shown
    assert "Nothing was sent." in shown
    assert writable.requests == []
    assert not writable.cache.exists()


def test_the_token_is_written_and_printed_nowhere(
    writable: Hub, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    writable.fail("POST .*/commit", status=503, times=1)
    assert typed("push", str(run.path), REPO) == 4
    assert typed("push", str(run.path), REPO) == 0
    printed = capsys.readouterr()
    assert REPO in printed.out
    assert TOKEN not in printed.out + printed.err
    looked = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(looked) > 10
    assert [path for path in looked if TOKEN.encode() in path.read_bytes()] == []


def test_an_unfinished_run_is_refused(writable: Hub, run: Run) -> None:
    text = run.folder.record.read_text().replace('"finished"', '"interrupted"')
    run.folder.record.write_text(text)
    with pytest.raises(gluetune.ConfigurationError, match="is not finished") as caught:
        gluetune.push(run.path, REPO)
    assert "--resume" in caught.value.findings[0].hint


def test_the_hub_reads_the_results_of_a_run_on_glue(
    writable: Hub, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GLUETUNE_DATA", raising=False)
    writable.datasets["nyu-mll/glue"] = write_task(tmp_path / "glue", "mrpc")
    run = bench.train("mrpc", data="nyu-mll/glue", output=tmp_path / "run", epochs=1)
    pushed = gluetune.push(run, "me/my-mrpc")
    served = writable.models["me/my-mrpc"]
    (entry,) = parse_eval_result_entries(
        yaml.safe_load((served / ".eval_results" / "glue-mrpc.yaml").read_text())
    )
    assert (entry.dataset_id, entry.task_id) == ("nyu-mll/glue", "mrpc")
    assert entry.value == run.score
    assert entry.date == run.record.updated
    data: Any = ModelCard(pushed.card).data
    results = data.eval_results
    assert {(one.dataset_type, one.dataset_config, one.metric_type) for one in results} == {
        ("nyu-mll/glue", "mrpc", "accuracy"),
        ("nyu-mll/glue", "mrpc", "f1"),
    }
    assert {one.metric_value for one in results} == set(
        run.record.best.validation.flat().values() if run.record.best else ()
    )
    assert pushed.verification is not None
    assert pushed.verification.rows == 12


def test_a_model_with_changed_predictions_is_not_marked_verified(writable: Hub, run: Run) -> None:
    path = run.folder.predictions_on("validation")
    table = run.predictions()
    moved = [[value + 1 for value in row] for row in table["logits"].to_pylist()]
    at = table.column_names.index("logits")
    pq.write_table(table.set_column(at, "logits", pa.array(moved, table["logits"].type)), path)
    with pytest.raises(gluetune.HubError, match=r"not verified.*a logit differs by 1"):
        gluetune.push(run, REPO)


def test_missing_data_are_reported_and_do_not_prevent_the_push(
    writable: Hub, run: Run, bench: Bench
) -> None:
    text = run.folder.record.read_text().replace(str(bench.data), str(bench.data / "gone"))
    run.folder.record.write_text(text)
    found = gluetune.push(run.path, REPO).verification
    assert found is not None
    assert (found.rows, found.largest_difference) == (0, None)
    assert "no such folder" in found.not_compared


def test_train_pushes_at_its_end_and_a_failed_push_leaves_the_run_finished(
    writable: Hub, bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = bench.arguments("cola", epochs=1)
    assert typed(*words, "--output", str(tmp_path / "none"), "--push", "no-owner") == 2
    assert not (tmp_path / "none").exists()

    output = tmp_path / "pushed"
    writable.fail("PUT /lfs", status=403)
    assert typed(*words, "--output", str(output), "--push", REPO) == 4
    assert Run(output).status == "finished"
    printed = capsys.readouterr().err
    assert "no write access" in printed
    assert f"gluetune push {output} {REPO}" in printed
    writable.heal()
    assert typed("push", str(output), REPO) == 0

    more = ("--output", str(tmp_path / "more"), "--push", "me/more", "--push-private")
    assert typed(*words, *more) == 0
    assert writable.private == {"me/more"}
    assert "checked  downloaded again" in capsys.readouterr().out
