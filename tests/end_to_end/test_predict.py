"""`gluetune predict` from the command line: text, standard input, files, mistakes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.support.processes import finish, fork
from tests.support.tiny_checkpoints import write_tiny_checkpoint
from typer.testing import CliRunner

from gluetune.cli.app import app
from gluetune.core.tasks import get_task


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    return write_tiny_checkpoint(folder, "bert", id2label={0: "dull [red]", 1: "lively"})


@pytest.fixture(scope="module")
def number(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("model") / "one", "bert", num_labels=1)


def typed(*arguments: object, stdin: bytes | None = None) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["predict", *map(str, arguments)], input=stdin)
    return done.exit_code, done.stdout, done.stderr


def test_typed_text_gives_all_classes_by_probability(model: Path) -> None:
    code, out, _ = typed(model, "a b c")
    assert code == 0
    first, second = (line.split(maxsplit=1) for line in out.splitlines())
    assert float(first[0]) >= float(second[0])
    assert {first[1], second[1]} == {"dull [red]", "lively"}
    code, out, _ = typed(model, "a b c", "d", "--json")
    assert json.loads(out)["label"] in {"dull [red]", "lively"}


def test_a_number_is_printed_alone(number: Path) -> None:
    _, out, _ = typed(number, "a b c")
    float(out)
    _, out, _ = typed(number, "a b c", "--json")
    assert json.loads(out).keys() == {"score"}


def piped(model: Path, *options: str) -> tuple[int, str, str]:
    return finish(fork(["predict", str(model), *options]), "a b\n\nc — é\n")


def test_lines_of_standard_input_are_predicted_to_standard_output(model: Path) -> None:
    code, _, messages = piped(model)
    assert code == 3
    assert "standard input:2 has an empty 'text'." in messages
    code, out, messages = piped(model, "--on-error", "skip")
    assert code == 0
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["text"] for row in rows] == ["a b", "c — é"]
    assert "left out: standard input:2 has an empty 'text'." in messages
    assert "2 rows predicted, 1 left out" in messages
    assert "Traceback" not in messages


def test_a_file_is_predicted_into_a_file(model: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("text\na b\nc\n")
    code, out, err = typed(model, "--file", tmp_path / "in.csv", "--output", tmp_path / "out.csv")
    assert (code, out) == (0, "")
    assert "2 rows predicted" in err
    header = (tmp_path / "out.csv").read_text().splitlines()[0]
    assert header == "text,label,score,probability_dull [red],probability_lively"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a", "b", "c"], "3 texts are given"),
        (["a", "--file", "x.csv"], "Both a text and --file or --output are given"),
        (["a", "--precision", "fp8"], "--precision fp8: choose from auto, fp32, bf16, fp16"),
        (["--file", "gone.csv"], "gone.csv cannot be read"),
        (["--file", "what.xls"], "its extension is unknown"),
    ],
)
def test_mistakes_give_what_to_type(model: Path, arguments: list[str], said: str) -> None:
    from gluetune.core.errors import GluetuneError

    done = CliRunner().invoke(app, ["predict", str(model), *arguments])
    assert done.exit_code != 0
    assert isinstance(done.exception, GluetuneError | SystemExit)
    assert said in f"{done.output} {done.exception}".replace("\n", " ")


def test_truncated_texts_are_reported_at_the_end(model: Path, tmp_path: Path) -> None:
    long = "long " * 3000
    (tmp_path / "in.csv").write_text(f"text\na b\n{long}\n")
    code, out, err = typed(model, "--file", tmp_path / "in.csv", "--output", tmp_path / "out.csv")
    assert (code, out) == (0, "")
    said = " ".join(err.split())
    assert re.search(r"2 rows predicted.* 1 of 2 texts was cut to \d+ tokens \(50\.0%\): ", said)
    code, out, err = typed(model, long)
    assert code == 0
    assert "the text was cut to" in err.lower()
    assert len(out.splitlines()) == 2, "what is asked for stands alone on standard output"
    assert json.loads(typed(model, long, "--json")[1])["label"] in {"dull [red]", "lively"}
    assert "cut" not in typed(model, "a b c")[2]


@pytest.mark.parametrize(
    ("task", "texts", "said"),
    [
        ("sst2", ["one text", "another"], ("reads one text", "was given 2", "'A text.'")),
        ("mrpc", ["one text"], ("reads two texts", "was given 1", "'First text.' 'Second text.'")),
    ],
)
def test_too_many_or_too_few_texts_give_what_to_type(
    tmp_path: Path, task: str, texts: list[str], said: tuple[str, ...]
) -> None:
    from gluetune.core.errors import GluetuneError

    id2label = dict(enumerate(get_task(task).labels))
    folder = write_tiny_checkpoint(tmp_path / "my model", "bert", id2label=id2label)
    done = CliRunner().invoke(app, ["predict", str(folder), *texts, "--task", task])
    assert isinstance(done.exception, GluetuneError)
    (finding,) = done.exception.findings
    assert all(each in f"{finding.message} {finding.hint}" for each in said)
    assert "predictor(" not in finding.hint
    assert f"gluetune predict '{folder}'" in finding.hint
