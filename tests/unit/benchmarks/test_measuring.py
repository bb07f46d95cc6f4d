from __future__ import annotations

import torch
from benchmarks.speed.measuring import digest, weights_outside_embeddings


def batch(ids: list[list[int]], lengths: list[int], labels: list[int]) -> dict[str, torch.Tensor]:
    width = len(ids[0])
    mask = [[int(place < length) for place in range(width)] for length in lengths]
    return {
        "input_ids": torch.tensor(ids),
        "attention_mask": torch.tensor(mask),
        "labels": torch.tensor(labels),
    }


def test_examples_are_the_same_however_they_are_padded_or_cut() -> None:
    long = list(range(1, 13))
    one = digest([batch([long, [5, 6] + [0] * 10], [12, 2], [0, 1])])
    padded = digest([batch([[*long, 0, 0], [5, 6] + [0] * 12], [12, 2], [0, 1])])
    cut = digest([batch([long[:10], [5, 6] + [0] * 8], [10, 2], [0, 1])])
    assert one == padded == cut


def test_other_examples_order_or_labels_are_noticed() -> None:
    first, second = batch([[1, 2], [3, 0]], [2, 1], [0, 1]), batch([[4, 5]], [2], [1])
    found = {
        digest([first, second]),
        digest([second, first]),
        digest([first]),
        digest([batch([[1, 2], [3, 0]], [2, 1], [1, 1]), second]),
        digest([batch([[3, 0], [1, 2]], [1, 2], [0, 1]), second]),
        digest([batch([[1, 2], [3, 0]], [1, 1], [0, 1]), second]),
    }
    assert len(found) == 6


def test_embedding_tables_are_not_counted() -> None:
    model = torch.nn.Sequential(torch.nn.Embedding(100, 4), torch.nn.Linear(4, 3))
    assert weights_outside_embeddings(model) == 4 * 3 + 3
