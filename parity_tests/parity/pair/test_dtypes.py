"""A pair declares float64, alone or with what is judged against it; bfloat16 only where no loops are left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from parity.errors import NotCheckable
from parity.golden.check import check_against, write_golden
from parity.pair.dtypes import dtypes_fault
from parity_tests.parity.bfloat16 import bfloat16_pair


@pytest.mark.parametrize("dtypes", [(), ("float32",), ("bfloat16",), ("float64", "float16"), "float64"], ids=str)
def test_what_cannot_be_declared_is_refused(dtypes: Any) -> None:
    with pytest.raises(
        NotCheckable, match=r"pair made: dtypes are .*: expected float64, alone or with float32 and bfl"
    ):
        bfloat16_pair(dtypes=dtypes)


def test_loops_are_not_left_out_without_a_word() -> None:
    assert dtypes_fault(("float64", "bfloat16"), {"stepped"}).startswith("bfloat16: the sides' loops would not be")
    assert dtypes_fault(("float64", "float32"), {"stepped"}) == ""
    assert dtypes_fault(("bfloat16", "float64"), ()) == ""


def test_a_recording_holds_nothing_in_bfloat16_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "made.parity"
    with pytest.raises(NotCheckable, match="pair made declares bfloat16, of which a recording holds nothing"):
        write_golden(bfloat16_pair(), "torch", file)
    assert not file.exists()
    with pytest.raises(NotCheckable, match="pair made declares bfloat16"):
        check_against(bfloat16_pair(), file)
