"""The engine's own tests compile the same few functions of the tiny pair over and over: they may share them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def _compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(scope="module")
def compiled_once(_compiled: Path) -> Iterator[None]:
    """What XLA has compiled is kept, for the modules that ask for it; elsewhere compilations are counted."""
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    options = {
        "jax_compilation_cache_dir": str(_compiled),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: jax.config.values[name] for name in options}

    def configure(values: Mapping[str, object]) -> None:
        for name, value in values.items():
            jax.config.update(name, value)  # type: ignore[no-untyped-call]
        compilation_cache.reset_cache()

    configure(options)
    yield
    configure(before)
