"""What every test has: arithmetic pinned, draws fixed, shapes checked, no setting left changed, no silent skip."""

from __future__ import annotations

import functools
import os
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import jaxtyping
import pytest

# The tests of the pytest plugin run a pytest of their own. Only here may a conftest.py ask for that.
pytest_plugins = ["pytester"]

# Everything down to the import hook stands before the first import of torch, JAX and the wings, which read it once.

# What would let the machine that runs the tests choose the arithmetic.
for _variable in (
    "JAX_DEFAULT_DTYPE_BITS",
    "JAX_DEFAULT_MATMUL_PRECISION",
    "JAX_DISABLE_JIT",
    "JAX_ENABLE_X64",
    "NVIDIA_TF32_OVERRIDE",
    "TORCHDYNAMO_DISABLE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
):
    os.environ.pop(_variable, None)
# Torch cuts its sums into as many pieces as there are threads: with two, every machine adds in the same order.
os.environ["OMP_NUM_THREADS"] = "2"
# Where other work shares the cores, a thread that waits by spinning makes a sum take ten times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# JAX would take three quarters of a GPU's memory at its first use, and leave torch the rest.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
# MNIST is unpacked once for the whole session, and neither read from nor left in the home folder.
_CACHE = tempfile.TemporaryDirectory(prefix="parity-tests-")
os.environ["XDG_CACHE_HOME"] = _CACHE.name

_HERE = Path(__file__).parent

hypothesis.settings.register_profile("fixed", derandomize=True, database=None, deadline=None)
hypothesis.settings.load_profile("fixed")

# Shapes and dtypes in the wings' annotations hold at run time here, and cost nothing outside the tests. `parity` has
# none to hold: it compares arrays of any shape.
jaxtyping.install_import_hook(["torchnet", "jaxnet"], "beartype.beartype")


def pytest_unconfigure() -> None:
    _CACHE.cleanup()


def pytest_report_header() -> str:
    names = ("torch", "torchvision", "jax", "jaxlib", "flax", "optax", "numpy")
    return "versions: " + ", ".join(f"{name} {metadata.version(name)}" for name in names)


# Tests that take long

SLOW = (
    "benchmarks/",
    "parity/command/test_recording.py",
    "parity/golden/test_check.py",
    "parity/golden/test_check_rules.py",
    "parity/golden/test_float32_inside.py",
    "parity/golden/test_modules.py",
    "parity/jax_side/stacks/test_marks.py",
    "parity/jax_side/stacks/test_turns.py",
    "parity/judging/hints/test_on_ports.py",
    "parity/judging/passes/test_own_activations.py",
    "parity/judging/unseen/test_idle.py",
    "parity/pytest_plugin/test_docs.py",
    "parity/judging/test_check_adapters.py",
    "parity/judging/test_check_backward.py",
    "parity/judging/test_check_bfloat16.py",
    "parity/judging/test_check_casts.py",
    "parity/judging/test_check_dropping.py",
    "parity/judging/test_check_eager.py",
    "parity/judging/test_check_examples.py",
    "parity/judging/test_check_float32_inside.py",
    "parity/judging/test_check_frozen.py",
    "parity/judging/test_check_held_apart.py",
    "parity/judging/test_check_labels.py",
    "parity/judging/test_check_laid_out.py",
    "parity/judging/test_check_layers.py",
    "parity/judging/test_check_lengths.py",
    "parity/judging/test_check_linen.py",
    "parity/judging/test_check_masks.py",
    "parity/judging/test_check_rounding.py",
    "parity/judging/test_check_scanned.py",
    "parity/judging/test_check_sparse.py",
    "parity/judging/test_check_taps.py",
    "parity/judging/test_check_trees.py",
    "parity/judging/test_check_turns.py",
    "parity/judging/test_check_whole_numbers.py",
    "parity/test_port_document.py",
    "parity/torch_side/test_fast_path.py",
    "ports/test_counterparts.py",
    "ports/test_functions.py",
    "ports/test_planted.py",
    "ports/test_together.py",
    "ports/test_watched.py",
)
"""Files and folders, from here, of which `make test` runs nothing but what `QUICK` names: they show at length what
others show in small."""
QUICK = (
    "convnet: fc1 not reordered for features that are last",
    "gpt: causal mask that sees one token ahead",
    "gru: state reset before the product",
    "lstm: gates in the order input, forget, output, cell",
    "vit: LayerNorm's epsilon 1e-5 for 1e-6",
    "test_a_clamp_that_is_never_reached_is_told_and_one_that_is_reached_is_compared",
    "test_what_is_given_otherwise_is_listed_and_a_mistake_in_it_is_found[padded before]",
    "test_a_buffer_of_torchs_alone_takes_no_parameter_along_whose_name_ends_alike",
    "test_a_dropout_that_is_otherwise_is_told_where_it_shows[left out in one block]",
    "test_a_gradient_that_is_not_handed_on",
    "test_a_layer_that_both_call_and_one_calls_more_often_is_a_difference",
    "test_a_layer_that_casts_is_red_and_named_with_its_sides",
    "test_a_mistake_in_one_is_found[no scaling]",
    "test_a_mask_that_all_blocks_share_is_refused[nn.scan]",
    "test_a_mistake_in_them_differs[experts in reverse]",
    "test_a_mistake_between_two_taps_is_found_at_the_second",
    "the gradient of one block stopped",
    "test_a_mistake_inside_the_blocks_is_told_in_each_of_them[a norm's epsilon]",
    "test_the_turns_of_linen_are_seen_once_each[along the second axis]",
    "test_one_other_value_in_a_batch_differs",
    "test_there_are_enough_mistakes_a_port_and_no_two_of_one_name",
    "test_torch_leaves_a_parameter_without_a_gradient_and_a_port_that_decays_it_differs",
    "test_what_is_frozen_on_both_sides_agrees_in_both_dtypes",
    "test_what_is_not_declared_must_move",
)
"""In the names of tests that are run all the same: of bfloat16, layers in float32, taps, frozen parameters, names,
calls, scanned blocks, dropouts in them, experts, whole numbers and the five ports the mistake that each is for."""


def pytest_itemcollected(item: pytest.Item) -> None:
    path = item.path.relative_to(_HERE).as_posix() if item.path.is_relative_to(_HERE) else ""
    if path.startswith(SLOW) and not any(quick in item.name for quick in QUICK):
        item.add_marker("slow")


# Tests that not every machine can run


@functools.cache
def _no_gpu() -> str | None:
    """Why the tests marked `gpu` cannot run; None where they can."""
    import jax
    import torch

    if not torch.cuda.is_available():
        return "torch sees no GPU"
    try:
        jax.devices("gpu")
    except RuntimeError:
        return "JAX sees no GPU: install the extra cuda13"
    return None


def _no_compiler() -> str | None:
    """Why the tests marked `compiled` cannot run; None where they can."""
    from benchmarks.machine import no_compiler

    why = no_compiler()
    return f"torch.compile {why}" if why else None


_NEEDS: dict[str, Callable[[], str | None]] = {"gpu": _no_gpu, "compiled": _no_compiler}


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker, missing in _NEEDS.items():
        if item.get_closest_marker(marker) and (reason := missing()):
            pytest.skip(reason)


@pytest.fixture(autouse=True, scope="session")
def _nothing_compiled_is_kept() -> Iterator[None]:
    """Python tells whether a compiled file is stale by the second and the size: a test may write one module twice."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        yield


@pytest.fixture(autouse=True)
def _shapes_unchecked_where_torch_compiles(request: pytest.FixtureRequest) -> Iterator[None]:
    """torch.compile cannot trace jaxtyping's isinstance checks; the same functions are checked on the other loops."""
    compiled = request.node.get_closest_marker("compiled") is not None
    jaxtyping.config.update("jaxtyping_disable", compiled)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def _compiled_is_required() -> bool:
    return os.environ.get("PARITY_REQUIRE_COMPILED") == "1"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if _compiled_is_required() and not any(item.get_closest_marker("compiled") for item in items):
        raise pytest.UsageError("PARITY_REQUIRE_COMPILED=1, but no test marked `compiled` is among those to run")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skipped test of the compiled loop is a failed one where it has to run, whoever skipped it."""
    report = yield
    if report.skipped and item.get_closest_marker("compiled") and _compiled_is_required():
        report.outcome = "failed"
        report.longrepr = f"PARITY_REQUIRE_COMPILED=1, but {item.nodeid} was skipped: {report.longrepr}"
    return report


# Settings of the whole process


class _Setting(NamedTuple):
    name: str
    default: Any
    read: Callable[[], Any]
    restore: Callable[[Any], Any]


def _settings() -> Iterator[_Setting]:
    """The settings on which results depend, of the frameworks that are imported so far."""
    if torch := sys.modules.get("torch"):
        yield _Setting("torch's default dtype", torch.float32, torch.get_default_dtype, torch.set_default_dtype)
        precision = torch.get_float32_matmul_precision, torch.set_float32_matmul_precision
        yield _Setting("torch's matmul precision", "highest", *precision)
        yield _Setting("torch's gradient mode", True, torch.is_grad_enabled, torch.set_grad_enabled)
        yield _Setting("torch's threads", 2, torch.get_num_threads, torch.set_num_threads)
    if jax := sys.modules.get("jax"):
        for option, default in (("jax_enable_x64", False), ("jax_default_matmul_precision", None)):
            read, restore = functools.partial(getattr, jax.config, option), functools.partial(jax.config.update, option)
            yield _Setting(option, default, read, restore)


@pytest.fixture(autouse=True)
def _settings_stay_as_they_are() -> Iterator[None]:
    """A test that leaves a setting changed fails itself, rather than whichever test comes after it."""
    yield
    changed = []
    for setting in _settings():
        if (value := setting.read()) != setting.default:
            setting.restore(setting.default)
            changed.append(f"{setting.name} is {value}, expected {setting.default}")
    if changed:
        pytest.fail("left changed: " + "; ".join(changed))


# Compilations that may be shared


@pytest.fixture(scope="session")
def _compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        # The folder of the run, in which each process has its own.
        folder = folder.parent
    (folder / "compiled").mkdir(exist_ok=True)
    return folder / "compiled"


@pytest.fixture(scope="module")
def compiled_once(_compiled: Path) -> Iterator[None]:
    """What XLA has compiled is kept, for modules that compile the same few functions over and over and ask for it.

    Elsewhere compilations are counted.
    """
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


@pytest.fixture(scope="module")
def compiled_quickly(compiled_once: None) -> Iterator[None]:
    """The same with most of XLA's optimising left out, as JAX's own tests have it, for modules that
    plant mistakes: what is found, and where, does not depend on it.

    Measured on three of them: 67 s of CPU time without, 49 s with it. The three problems, the ports of
    `ports/test_agree.py` and what is about float32 agree as XLA compiles for everybody.
    """
    import jax

    option = "jax_disable_most_optimizations"
    before = jax.config.values[option]
    jax.config.update(option, True)  # type: ignore[no-untyped-call]
    yield
    jax.config.update(option, before)  # type: ignore[no-untyped-call]


@pytest.fixture(autouse=True)
def _programs_forgotten(request: pytest.FixtureRequest) -> Iterator[None]:
    """JAX keeps the programs of every check that a process made: those of `make proof` would fill the memory."""
    yield
    jax = sys.modules.get("jax")
    if jax is not None and request.node.get_closest_marker("proof"):
        jax.clear_caches()
