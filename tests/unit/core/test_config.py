from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gluetune.core.command_lines import options
from gluetune.core.config import TrainConfig, make_config, own_name, typed_settings
from gluetune.core.errors import ConfigurationError
from gluetune.core.settings import shell_settings
from gluetune.core.settings_files import join_names, parse_assignment, read_settings, split_names
from gluetune.core.tasks import GLUE_TASKS
from gluetune.kinds import KINDS


def refused(values: dict[str, Any], places: dict[str, str] | None = None) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        make_config(values, places=places)
    return caught.value


def test_the_defaults_are_the_notebooks() -> None:
    config = make_config({"task": "cola"})
    assert config.learning_rate == 2e-5
    assert config.batch_size == 16
    assert config.epochs == 5
    assert config.weight_decay == 0.01
    assert config.warmup == 0
    assert config.fraction == 1
    assert config.seed == 42
    assert config.model == "minilm"
    assert config.precision == "auto"
    assert config.training_args == {}


def test_every_field_says_what_it_is() -> None:
    fields = TrainConfig.model_fields
    assert fields
    for name, field in fields.items():
        assert field.description, name


def test_values_typed_as_text_are_read_as_their_kind() -> None:
    config = make_config(
        {
            "task": " SST-2 ",
            "learning_rate": "2e-5",
            "epochs": "5",
            "batch_size": "8",
            "warmup": "0.1",
            "seed": "7",
            "new_head": "true",
            "output": "runs/x",
        }
    )
    assert config.task == "sst2"
    assert (config.learning_rate, config.epochs, config.warmup) == (2e-5, 5.0, 0.1)
    assert (config.batch_size, config.seed, config.new_head) == (8, 7, True)
    assert config.output == Path("runs/x")


MISTAKES = {
    "learning_rate": "0",
    "batch_size": "none",
    "micro_batch_size": "0",
    "eval_batch_size": "1.5",
    "epochs": "nan",
    "weight_decay": "-1",
    "warmup": "inf",
    "fraction": "1.5",
    "max_length": "2",
    "seed": "-1",
    "precision": "fp8",
    "early_stopping": "0",
    "checkpoint_minutes": "0",
    "threads": "0",
    "model": " ",
    "new_head": "perhaps",
}


def test_all_mistakes_are_reported_together_each_with_value_and_place() -> None:
    places = {name: f"recipe.yaml: {name}" for name in MISTAKES}
    error = refused({"task": "kola", "epoch": 3, **MISTAKES}, places)
    assert len(error.findings) == len(MISTAKES) + 2
    text = str(error)
    for name, value in MISTAKES.items():
        assert f"recipe.yaml: {name}: {value if value.strip() else repr(value)}: " in text
    assert "unknown setting 'epoch': did you mean epochs?" in text
    assert "There is no task 'kola'.\n  Did you mean 'cola'?" in text
    assert "precision: fp8: choose from auto, fp32, bf16, fp16.\n  Type: precision='auto'" in text


def test_the_hint_of_a_mistake_is_accepted() -> None:
    with shell_settings():
        error = refused({"task": "cola", **MISTAKES})
    values: dict[str, Any] = dict(MISTAKES)
    for finding in error.findings:
        flag, given = shlex.split(finding.message.partition(": ")[0])
        name = flag.removeprefix("--").replace("-", "_")
        assert given == values[name]
        if finding.hint.endswith("Or leave it out."):
            del values[name]
        else:
            typed_flag, values[name] = shlex.split(finding.hint.rpartition("Type: ")[2])
            assert typed_flag == flag
    assert {"max_length", "threads"}.isdisjoint(values)
    make_config({"task": "cola", **values})


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ({"seed": 2**32}, "seed=4294967296: must be less than 4294967296."),
        ({"fraction": 2}, "fraction=2: must be at most 1."),
        ({"batch_size": 1.5}, "batch_size=1.5: must be a whole number."),
        ({"epochs": "many"}, "epochs='many': must be a number."),
        ({"epochs": float("inf")}, "epochs=inf: must be a finite number."),
        ({"new_head": "perhaps"}, "new_head='perhaps': must be true or false."),
        ({"model": 5}, "model=5: must be text."),
        ({"model": " "}, "model=' ': must not be empty."),
    ],
)
def test_a_mistake_is_named_as_it_is_typed_in_python(mistake: dict[str, Any], message: str) -> None:
    assert refused({"task": "cola", **mistake}).findings[0].message == message


@pytest.mark.parametrize("name", ["reviews.csv", "a b.jsonl", "x.PARQUET", "tags.tsv.gz"])
def test_a_file_in_the_tasks_place_is_to_be_a_train_file(name: str) -> None:
    (finding,) = refused({"task": name, "text": "review"}).findings
    assert finding.message == f"'{name}' is a file, not a task."
    assert finding.hint == f"Type: --train-file {shlex.quote(name)}"


def test_an_unknown_setting_far_from_all_lists_them() -> None:
    (finding,) = refused({"task": "cola", "zzz": 1}).findings
    assert finding.message == "unknown setting 'zzz'."
    assert "learning_rate, batch_size" in finding.hint


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("lr", "learning_rate"),
        ("learning-rate", "learning_rate"),
        ("wd", "weight_decay"),
        ("num_train_epochs", "epochs"),
        ("model_name_or_path", "model"),
        ("max_seq_length", "max_length"),
        ("batchsize", "batch_size"),
    ],
)
def test_an_unknown_setting_is_corrected_also_from_initials_and_other_programs_names(
    typed: str, meant: str
) -> None:
    (finding,) = refused({"task": "cola", typed: 1}).findings
    assert finding.message == f"unknown setting '{typed}': did you mean {meant}?"


def test_a_misspelt_choice_is_answered_with_the_nearest_and_all_of_them() -> None:
    (finding,) = refused({"task": "cola", "compute": "groupd"}).findings
    assert finding.message == "compute='groupd': choose from auto, unpadded, grouped, padded."
    assert finding.hint == "Did you mean grouped? Type: compute='grouped'"


@pytest.mark.parametrize("given", ["balance", "spam=", "=2", "spam=-1", "spam=inf", "spam=5,other"])
def test_class_weights_that_are_none_are_refused_with_the_form(given: str) -> None:
    (finding,) = refused({"task": "cola", "class_weights": given}).findings
    assert finding.message == (
        f"class_weights={given!r}: must be none, balanced, or label=weight,… such as "
        "spam=5,other=1."
    )
    assert "--class-weights balanced" in finding.hint


def test_a_missing_task_is_told_with_an_example() -> None:
    (finding,) = refused({}).findings
    assert finding.message == "No task is given."
    assert "gluetune train cola" in finding.hint


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("data/My Reviews.csv.gz", "my-reviews"),
        ("cola.csv", "own-cola"),
        ("user/SST-2", "own-sst-2"),
        ("user/imdb:plain", "imdb"),
        ("评论.tsv", "text"),
    ],
)
def test_a_task_of_the_users_own_is_called_after_its_file_and_never_as_glues(
    source: str, name: str
) -> None:
    assert own_name(source) == name
    assert make_config({"train_file": source}).task == name


def test_what_only_own_text_can_be_given_is_refused_without_it() -> None:
    error = refused({"task": "cola", "text": "review", "group": "user", "kind": "regression"})
    assert [finding.message.partition("=")[0] for finding in error.findings] == [
        "text",
        "kind",
        "group",
    ]
    assert all("--train-file" in finding.hint for finding in error.findings)


def test_extra_metrics_have_to_suit_the_kind_of_a_glue_task() -> None:
    assert make_config({"task": "stsb", "extra_metrics": "mae"}).extra_metrics == ("mae",)
    with pytest.raises(ConfigurationError) as caught:
        make_config({"task": "mnli", "extra_metrics": ["mae", "f1", "acuracy"], "epochs": -1})
    *others, misspelt = (finding for finding in caught.value.findings if "extra" in str(finding))
    assert [one.message.split(":")[0] for one in others] == [
        "--extra-metrics mae",
        "--extra-metrics f1",
    ]
    assert "f1 is for two classes" in others[1].hint
    assert misspelt.hint.startswith("Did you mean 'accuracy'? Metrics: accuracy, ")
    assert len(caught.value.findings) == 4


def test_own_text_contradicts_glue_all_at_once() -> None:
    error = refused(
        {
            "task": "cola",
            "train_file": "a.csv",
            "data_set": "user/name",
            "data": "sample",
            "test_file": "b.csv",
        }
    )
    assert len(error.findings) == 4


def test_columns_may_be_a_list_or_separated_by_commas() -> None:
    assert make_config({"train_file": "a.csv", "label": "a,b"}).label == ("a", "b")
    assert make_config({"train_file": "a.csv", "label": ["a,b", " c"]}).label == ("a,b", " c")


def test_ax_is_refused_with_the_task_that_answers_it() -> None:
    (finding,) = refused({"task": "ax"}).findings
    assert "'ax' has no training split" in finding.message
    assert finding.hint == "Type: gluetune train mnli"


@pytest.mark.parametrize("name", [*GLUE_TASKS, "mnli-mm", "MNLI_mm"])
def test_every_other_task_is_taken_under_its_own_name(name: str) -> None:
    expected = "mnli-mm" if "mm" in name else name
    assert make_config({"task": name}).task == expected


def test_places_default_to_the_field() -> None:
    assert str(refused({"task": "cola", "epochs": 0})).startswith(
        "epochs=0: must be greater than 0.\n"
    )


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("task: cola\nepochs: [3\n", ":3"),
        ("task: cola\n\tepochs: 3\n", ":2"),
        ("task: cola\nmodel: a: b\n", ":2"),
    ],
)
def test_what_is_not_yaml_is_told_with_file_and_line(tmp_path: Path, text: str, place: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        read_settings(path)
    assert str(caught.value).startswith(f"{path}{place}: ")
    assert "name: value" in str(caught.value)


@pytest.mark.parametrize("text", ["", "- 1\n- 2\n", "cola\n", "# nothing\n"])
def test_a_file_without_settings_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="holds no settings"):
        read_settings(path)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="There is no file"):
        read_settings(tmp_path / "absent.yaml")
    with pytest.raises(ConfigurationError, match="is a folder"):
        read_settings(tmp_path)
    (tmp_path / "latin").write_bytes("modèle: x".encode("latin-1"))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_settings(tmp_path / "latin")


def test_a_file_may_write_names_as_flags_and_numbers_as_2e_5(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("task: cola\nlearning-rate: 3e-5\nset:\n  adam_epsilon: 1e-6\n")
    config = make_config(read_settings(path))
    assert config.learning_rate == 3e-5
    assert config.training_args == {"adam_epsilon": 1e-6}, "YAML 1.1 reads 1e-6 as text"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("adam_epsilon=1e-6", 1e-6),
        ("adam_beta2=0.98", 0.98),
        ("logging_steps=10", 10),
        ("group_by_length=true", True),
        ("report_to=none", "none"),
        ("report_to=[tensorboard, wandb]", ["tensorboard", "wandb"]),
        ("optim_args=a=1,b=2", "a=1,b=2"),
        ("run_name=", None),
        ("run_name=[", "["),
        ("run_name=1e", "1e"),
    ],
)
def test_an_assignments_value_is_read_as_yaml(text: str, value: object) -> None:
    name, found = parse_assignment(text)
    assert name == text.partition("=")[0]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["logging_steps", "=3", " =3"])
def test_an_assignment_without_a_name_or_a_value_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="name=value"):
        parse_assignment(text)


_TEXT = st.text(min_size=1, max_size=12).filter(lambda text: bool(text.strip()))
_WORDLIKE = st.sampled_from(
    ["1e5", "2e-5", "null", "true", "no", "~", "1_000", "0x1f", "12:30", "2026-01-01", "#a", "a: b"]
)
_VALUE = st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False), _TEXT, _WORDLIKE)


def _numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, exclude_min=True, allow_nan=False)


FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "model": _TEXT | _WORDLIKE,
    "revision": st.none() | _TEXT | _WORDLIKE,
    "data": st.none() | _TEXT | _WORDLIKE,
    "fraction": _numbers(0, 1),
    "exclude": st.none() | _TEXT | _WORDLIKE,
    "fold_seed": st.integers(0, 2**32 - 1),
    "holdout": st.floats(0, 1, exclude_max=True),
    "sampling_seed": st.none() | st.integers(0, 2**32 - 1),
    "processes": st.none() | st.integers(1, 64),
    "method": st.sampled_from(["full", "probe", "lp-ft", "lora"]),
    "lora_rank": st.integers(1, 64),
    "lora_alpha": st.none() | _numbers(0, 100),
    "lora_dropout": st.floats(0, 0.9),
    "lora_targets": st.none() | st.lists(_TEXT | _WORDLIKE, min_size=1).map(tuple),
    "quantization": st.sampled_from(["none", "4bit"]),
    "learning_rate": _numbers(0, 1),
    "batch_size": st.integers(1, 10**6),
    "micro_batch_size": st.none() | st.integers(1, 64),
    "eval_batch_size": st.integers(1, 64),
    "epochs": _numbers(0, 1e6),
    "weight_decay": st.floats(0, 1),
    "warmup": st.floats(0, 1e6),
    "max_length": st.none() | st.integers(3, 512),
    "seed": st.integers(0, 2**32 - 1),
    "precision": st.sampled_from(["auto", "fp32", "bf16", "fp16"]),
    "metric": _TEXT,
    "early_stopping": st.none() | st.integers(1, 9),
    "new_head": st.booleans(),
    "label_order": st.none() | st.lists(_TEXT | _WORDLIKE, min_size=1).map(tuple),
    "trust_remote_code": st.booleans(),
    "checkpoint_minutes": _numbers(0, 1e3),
    "track": st.sampled_from(["tensorboard", "trackio", "mlflow", "wandb"]),
    "compute": st.sampled_from(["auto", "unpadded", "grouped", "padded"]),
    "compact_vocabulary": st.booleans(),
    "threads": st.none() | st.integers(1, 64),
    "class_weights": st.sampled_from(["none", "balanced", 'a=2,"b, c=0.5"'])
    | st.dictionaries(_TEXT, st.floats(0, 9), min_size=1),
    "label_smoothing": st.floats(0, 0.9),
    "focal_loss": st.floats(0, 5),
    "long_texts": st.sampled_from(["cut", "head-tail", "windows"]),
    "window_overlap": st.integers(0, 128),
    "most_windows": st.integers(2, 64),
    "auto_settings": st.booleans(),
    "min_steps": st.none() | st.integers(1, 10**6),
    "layer_decay": _numbers(0, 1),
    "restart_layers": st.integers(0, 12),
    "freeze_layers": st.integers(0, 12),
    "average_epochs": st.integers(0, 12),
    "training_args": st.dictionaries(_TEXT, _VALUE | st.lists(_VALUE, max_size=3), max_size=3),
}
_OWN = {
    "text": st.none() | _TEXT | _WORDLIKE,
    "text_pair": st.none() | _TEXT | _WORDLIKE,
    "label": st.none() | st.lists(_TEXT | _WORDLIKE, min_size=1).map(tuple),
    "kind": st.sampled_from(["auto", *KINDS]),
    "metrics": st.none() | st.lists(_TEXT | _WORDLIKE, min_size=1).map(tuple),
    "extra_metrics": st.none() | st.lists(_TEXT | _WORDLIKE, min_size=1).map(tuple),
    "positive": st.none() | _TEXT | _WORDLIKE,
    "label_separator": st.none() | st.sampled_from([";", " ", "\t", ","]),
    "validation_fraction": st.floats(0.01, 0.99),
    "split_seed": st.integers(0, 2**32 - 1),
    "group": st.none() | _TEXT | _WORDLIKE,
    "on_bad_row": st.sampled_from(["stop", "skip"]),
    "format": st.none() | st.sampled_from(["csv", "tsv", "jsonl", "text"]),
    "delimiter": st.none() | st.sampled_from(["\t", ";", "|", ",", " ", "~"]),
    "quoting": st.sampled_from(["auto", "minimal", "single", "backslash", "none"]),
    "header": st.none() | st.booleans(),
    "columns": st.none() | st.lists(_TEXT | _WORDLIKE, min_size=1).map(tuple),
}
_OF_FILES = {name: st.none() | _TEXT for name in ("validation_file", "test_file")}
_OF_HUB = {name: st.none() | _TEXT for name in ("train_split", "validation_split")}
_FOLDS: dict[str, st.SearchStrategy[Any]] = {
    "folds": st.integers(3, 100),
    "fold": st.none() | st.integers(0, 3),
}
OWN_FIELDS = {"train_file", "data_set", *_OWN, *_OF_FILES, *_OF_HUB}
CONFIGS = st.one_of(
    st.fixed_dictionaries({"task": st.sampled_from([*GLUE_TASKS, "mnli-mm"])}, optional=FIELDS),
    *(
        st.fixed_dictionaries(
            {source: _TEXT},
            optional={name: values for name, values in FIELDS.items() if name != "data"}
            | _OWN
            | more,
        )
        for source, more in (("train_file", _OF_FILES), ("data_set", _OF_HUB))
    ),
    st.fixed_dictionaries({"task": st.sampled_from([*GLUE_TASKS]), **_FOLDS}),
)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(values=CONFIGS)
@example(values={"task": "cola", "model": "next\x85line"})
@example(values={"task": "cola", "extra_metrics": ("f1", "log_loss")})
@example(values={"task": "cola", "training_args": {"threshold": float("inf")}})
def test_a_saved_configuration_reads_back_equal(tmp_path: Path, values: dict[str, Any]) -> None:
    config = make_config(values)
    path = tmp_path / "config.yaml"
    config.save(path)
    assert make_config(read_settings(path)) == config


def words(**settings: Any) -> list[str]:
    """Return settings as the words that a shell makes of them."""
    return shlex.split(options(**typed_settings(settings)))


@given(names=st.lists(_TEXT | _WORDLIKE | st.sampled_from(["a, b", '"', 'x"y', '"a"']), min_size=1))
def test_names_that_are_typed_come_back(names: list[str]) -> None:
    assert split_names(join_names(names), keep_spaces=True) == tuple(names)
    assert words(columns=names) == ["--columns", join_names(names)]


def test_settings_are_typed_as_the_parser_reads_them() -> None:
    assert words(header=False) == ["--no-header"]
    assert words(header=True) == ["--header"]
    assert words(delimiter="\t") == ["--delimiter", "tab"]
    assert words(label=("a, b", "c")) == ["--label", '"a, b",c']
    assert split_names("a,b") == ("a", "b")
    assert split_names('a"b,c') == ('a"b', "c")


@pytest.mark.parametrize("delimiter", ["", ";;", '"', "'", "\n", "column"])
def test_a_delimiter_is_one_character(delimiter: str) -> None:
    with pytest.raises(ConfigurationError, match="one character is needed"):
        make_config({"train_file": "a.csv", "delimiter": delimiter})


def test_the_round_trip_covers_every_field() -> None:
    assert {*FIELDS, *OWN_FIELDS, *_FOLDS} == set(TrainConfig.model_fields) - {"task", "output"}


def test_a_saved_configuration_explains_itself_and_leaves_the_output_out(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    make_config({"task": "cola", "output": "runs/x", "threads": 2}).save(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert "# Peak learning rate of AdamW." in lines
    assert "threads: 2" in lines
    assert not any(line.startswith("output") for line in lines)
    assert yaml.safe_load(path.read_text())["task"] == "cola", "any YAML reader takes it"
