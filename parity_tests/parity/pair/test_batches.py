"""Random batches for a pair."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from parity import random_batches, whole
from parity.errors import NotCheckable

MADE = random_batches(images=(4, 3, 5, 5), labels=(4,), classes=10, tokens=whole(65, 4, 7), steps=3)


def test_entries_have_the_shapes_dtypes_and_ranges_that_were_told() -> None:
    for batch in MADE(0, 3):
        assert {name: array.shape for name, array in batch.items()} == {
            "images": (4, 3, 5, 5), "labels": (4,), "tokens": (4, 7),
        }  # fmt: skip
        assert batch["images"].dtype == np.float64
        assert batch["labels"].dtype == batch["tokens"].dtype == np.int64
    labels = np.concatenate([batch["labels"] for batch in MADE(0, 100)])
    assert set(labels) == set(range(10))


def test_every_step_seed_and_the_scored_batch_are_draws_of_their_own() -> None:
    images = [batch["images"] for seed in (0, 1) for batch in (*MADE(seed, 2), *MADE.scored(seed).values())]
    assert len({array.tobytes() for array in images}) == 6
    assert np.array_equal(MADE(0, 2)[1]["images"], MADE(0, 3)[1]["images"])


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({}, "no entry"),
        ({"images": (4,), "classes": 10}, "no entry 'labels'"),
        ({"images": (4, 0)}, "images is"),
        ({"images": 4}, "images is 4"),
        ({"labels": 8, "classes": 10}, "labels is 8"),
        ({"labels": whole(3, 8), "classes": 10}, r"labels are whole\(...\), which says"),
    ],
)
def test_what_cannot_be_drawn_is_refused(entries: dict[str, Any], words: str) -> None:
    with pytest.raises(NotCheckable, match=words):
        random_batches(steps=2, **entries)
