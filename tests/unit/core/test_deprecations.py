from __future__ import annotations

import warnings

import pytest

from gluetune.core.errors import ConfigurationError, RenamedWarning, warn_renamed, with_new_names


def test_the_warning_names_both_names_and_the_line_that_used_the_old_one() -> None:
    with pytest.warns(RenamedWarning, match="classes is now called single_label") as caught:
        warn_renamed("classes", "single_label")
    assert caught[0].filename == __file__


def test_old_names_are_read_as_the_new_ones() -> None:
    with pytest.warns(RenamedWarning, match="set is now called training_args") as caught:
        named = with_new_names({"seed": 1, "set": {"a": 1}}, {"set": "training_args"})
    assert named == {"seed": 1, "training_args": {"a": 1}}
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_new_names_bring_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert with_new_names({"seed": 1}, {"set": "training_args"}) == {"seed": 1}


def test_a_value_under_both_names_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="set and training_args are the same"):
        with_new_names({"set": 1, "training_args": 2}, {"set": "training_args"})
