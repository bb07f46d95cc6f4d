"""Cutting a batch: every example once, the least padding, and no more passes than pay."""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from gluetune.models.fast.batches import (
    _PASS,
    cheapest_parts,
    is_mixed,
    sample,
    split,
    split_by_length,
    with_padding,
)


def _inputs(lengths: list[int]) -> dict[str, torch.Tensor]:
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    return {"input_ids": mask * 7, "attention_mask": mask, "labels": torch.arange(len(lengths))}


def _cost(lengths: list[int], sizes: list[int]) -> int:
    total, start = 0, 0
    for size in sizes:
        total += size * lengths[start + size - 1] + _PASS
        start += size
    return total


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=8), st.integers(1, 8))
def test_no_other_cut_is_cheaper(lengths: list[int], size: int) -> None:
    lengths = sorted(lengths)
    sizes = cheapest_parts(np.array(lengths), size)
    assert sum(sizes) == len(lengths)
    assert max(sizes) <= size
    cuts = product([False, True], repeat=len(lengths) - 1)
    costs = []
    for cut in cuts:
        ends = [place + 1 for place, yes in enumerate(cut) if yes] + [len(lengths)]
        parts = np.diff([0, *ends]).tolist()
        if max(parts) <= size:
            costs.append(_cost(lengths, parts))
    assert _cost(lengths, sizes) == min(costs)


def test_each_part_is_padded_to_its_own_longest() -> None:
    parts = list(split_by_length(_inputs([3, 200, 4, 190, 5]), 5))
    assert [part["input_ids"].shape for part in parts] == [(3, 5), (2, 200)]
    assert sorted(int(row) for part in parts for row in part["labels"]) == [0, 1, 2, 3, 4]


def test_short_texts_stay_together() -> None:
    assert len(list(split_by_length(_inputs([3, 9, 12, 20]), 16))) == 1


def test_a_sample_reaches_from_the_shortest_to_the_longest() -> None:
    lengths = [5, 50, 2, 30, 7, 41, 3, 9, 12, 60]
    some = sample(_inputs(lengths), 4)
    taken = [lengths[int(row)] for row in some["labels"]]
    assert len(taken) == 4
    assert (min(taken), max(taken)) == (2, 60)
    assert sample(some, 4) is some


def test_only_padding_makes_a_batch_mixed() -> None:
    assert is_mixed(_inputs([1, 2]))
    assert not is_mixed(_inputs([2, 2]))
    assert not is_mixed({"input_ids": torch.ones(2, 2)})


def test_what_is_known_of_a_text_is_not_cut_where_it_is_as_wide_as_the_texts() -> None:
    """Eight labels, in a batch of eight places of which five are used."""
    batch = _inputs([3, 5])
    batch = {name: functional.pad(batch[name], (0, 3)) for name in ("input_ids", "attention_mask")}
    batch["labels"] = torch.arange(16.0).view(2, 8)
    for parts in (list(split_by_length(batch, 2)), list(split(batch, 1))):
        assert [tuple(part["labels"].shape[1:]) for part in parts] == [(8,)] * len(parts)
        assert torch.equal(torch.cat([part["labels"] for part in parts]), batch["labels"])
        assert parts[-1]["input_ids"].shape[1] == 5


def test_nothing_is_cut_beside_what_might_be_of_texts_or_of_tokens() -> None:
    batch = _inputs([3, 5]) | {"features": torch.rand(2, 5)}
    (first, second) = split(batch, 1)
    assert first["features"].shape == first["input_ids"].shape == (1, 5)
    assert second["features"].shape == (1, 5)
    batch["features"] = torch.rand(2, 4)
    assert next(split(batch, 1))["input_ids"].shape == (1, 3)


def test_what_is_of_the_whole_batch_goes_with_every_part() -> None:
    batch = _inputs([3, 5, 4]) | {
        "position_ids": torch.arange(5)[None],
        "scale": torch.tensor(2.0),
        "kinds": torch.arange(2),
        "name": "a batch",
        "inputs_embeds": None,
    }
    for part in split(batch, 1):
        assert part["position_ids"].shape == part["input_ids"].shape
        assert part["scale"].item() == 2.0
        assert part["kinds"].tolist() == [0, 1]
        assert part["name"] == "a batch"


def test_a_mask_of_pairs_is_left_alone() -> None:
    batch = _inputs([3, 5, 4])
    batch["attention_mask"] = batch["attention_mask"][:, None, None, :].expand(3, 1, 5, 5)
    parts = list(split_by_length(batch, 3))
    assert sum(len(part["input_ids"]) for part in parts) == 3
    assert {part["input_ids"].shape[1] for part in parts} == {5}
    assert not is_mixed(batch)


def test_a_batch_is_given_padding_where_it_has_none() -> None:
    full = {"input_ids": torch.arange(6).view(2, 3), "attention_mask": torch.ones(2, 3).long()}
    made = with_padding(full)
    assert made["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert bool(full["attention_mask"].all()), "the batch itself is not changed"
    assert with_padding(made) is made
    narrow = {"input_ids": torch.zeros(2, 1), "attention_mask": torch.ones(2, 1).long()}
    assert with_padding(narrow) is narrow
    assert with_padding({"input_ids": full["input_ids"]}) == {"input_ids": full["input_ids"]}
