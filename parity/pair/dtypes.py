"""Which dtypes a pair can be compared in."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from parity.recording import DTYPES, Dtype


def dtypes_fault(dtypes: Sequence[Dtype], loops: Collection[str]) -> str:
    """Why two sides that have these loops cannot be compared in these dtypes; empty where they can."""
    if "float64" not in dtypes or set(dtypes) - set(DTYPES):
        return (
            f"dtypes are {dtypes!r}: expected float64, alone or with float32 and bfloat16, which are judged against it"
        )
    if "bfloat16" in dtypes and loops:
        return f"bfloat16: the sides' loops would not be judged in it: leave them out ({', '.join(sorted(loops))})"
    return ""
