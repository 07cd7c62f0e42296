"""What a variant is called in a result, and which have a time."""

from __future__ import annotations

from benchmarks.rows import full_name, timed_once


def test_a_variant_without_a_time_and_a_twin_are_left_out() -> None:
    names = {"framework": "jax", "name": "stepped"}
    found = [names | {"step_us": step, "twin": twin} for step in ({"median": 1.0}, None) for twin in (False, True)]
    assert timed_once({"variants": found}) == found[:1]
    assert full_name(found[0]) == "jax stepped"
