from __future__ import annotations

import gluetune
from gluetune.core.errors import (
    ConfigurationError,
    DataError,
    Finding,
    GluetuneError,
    TrainingError,
)


def test_a_message_and_its_hint_stand_on_two_lines() -> None:
    error = DataError("train.tsv:3: the label is 7.", hint="Labels: 0, 1.")
    assert str(error) == "train.tsv:3: the label is 7.\n  Labels: 0, 1."
    assert str(DataError("No rows.")) == "No rows."


def test_several_findings_are_one_exception_of_the_class_that_was_asked_for() -> None:
    findings = [Finding("first", "do this"), Finding("second")]
    error = ConfigurationError.of(findings)
    assert type(error) is ConfigurationError
    assert error.findings == tuple(findings)
    assert str(error) == "first\n  do this\nsecond"


def test_the_tree_is_whole_and_drawn_in_the_docstring() -> None:
    from gluetune.core import errors

    below = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, GluetuneError)
    ]
    assert GluetuneError in below
    for error in below:
        assert error.__name__ in (errors.__doc__ or "")
        assert getattr(gluetune, error.__name__) is error


def test_only_a_failure_of_the_work_itself_exits_with_1() -> None:
    assert TrainingError("x").exit_code == 1
    assert ConfigurationError("x").exit_code == GluetuneError.exit_code == 2
