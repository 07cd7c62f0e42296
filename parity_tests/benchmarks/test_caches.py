"""Where compiled programs stay, and of what a folder is known to have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.caches import environment, is_cached, remember, user_folder
from benchmarks.case import Case
from benchmarks.variants import by_full_name
from parity.errors import NotCheckable

COMPILED = by_full_name("torch compiled")


def test_both_frameworks_keep_their_programs_in_the_folder(tmp_path: Path) -> None:
    found = environment(tmp_path)
    assert {found["TORCHINDUCTOR_CACHE_DIR"], found["JAX_COMPILATION_CACHE_DIR"]} == {
        str(tmp_path / "torch"),
        str(tmp_path / "jax"),
    }


def test_how_threads_wait_is_the_callers_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    assert environment(tmp_path)["GOMP_SPINCOUNT"] == "7"


def test_the_folder_of_the_user_is_where_the_system_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_folder() == tmp_path / "one-network-twice" / "benchmarks"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_folder() == tmp_path / ".cache" / "one-network-twice" / "benchmarks"


def test_what_is_remembered_is_one_variant_of_one_case(tmp_path: Path) -> None:
    assert not is_cached(tmp_path, Case(), COMPILED)
    remember(tmp_path, Case(), COMPILED)
    assert is_cached(tmp_path, Case(), COMPILED)
    assert not is_cached(tmp_path, Case("mlp"), COMPILED)
    assert not is_cached(tmp_path, Case(), by_full_name("torch compiled_max_autotune"))


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "compiled").touch()
    with pytest.raises(NotCheckable, match=r"cannot be written \(.*name another place for caches by XDG_CACHE_HOME"):
        remember(tmp_path, Case(), COMPILED)
