"""How two sides of one framework are told apart, where the one was recorded and the other ran."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from parity.verdict import Comparison, StageVerdict, Verdict

WORD = re.compile(r"(?<![\w.])(torch|jax)(?![\w.])")
"""The name of a side in what a verdict says; not a part of the name of a tensor or a module."""


def renamed(verdict: Verdict) -> Verdict:
    """The verdict with its sides called by `Against.names` in everything that it says in words."""
    called = verdict.against.names if verdict.against else {}
    if not called:
        return verdict

    def say(text: str) -> str:
        return WORD.sub(lambda found: called["torch" if found[0] == "torch" else "jax"], text)

    first = verdict.first_difference
    return replace(
        verdict,
        stages=[_stage(stage, say) for stage in verdict.stages],
        first_difference=first
        and replace(
            first, comparison=_comparison(first.comparison, say), looks_like=say(first.looks_like), names=called
        ),
        unseen=[say(line) for line in verdict.unseen],
        listed=[say(line) for line in verdict.listed],
        comparisons=[_comparison(comparison, say) for comparison in verdict.comparisons],
    )


def _comparison(comparison: Comparison, say: Callable[[str], str]) -> Comparison:
    return replace(comparison, note=say(comparison.note), loop=comparison.loop and say(comparison.loop))


def _stage(stage: StageVerdict, say: Callable[[str], str]) -> StageVerdict:
    return replace(
        stage, reason=say(stage.reason), float64=stage.float64 and _comparison(stage.float64, say),
        float32={side: _comparison(nearest, say) for side, nearest in stage.float32.items()},
    )  # fmt: skip
