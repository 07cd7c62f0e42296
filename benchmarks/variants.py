"""The variants by name: what each is, where it runs, and what it is compared with. Imports no framework."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.util import find_spec

from benchmarks.case import NETS, PRECISIONS, PROBLEMS, Case
from benchmarks.machine import no_compiler
from parity.errors import NotCheckable
from parity.recording import Framework

OF_FLOAT32 = ("float32", "tf32")
"""The precisions of a variant that writes its products out: it does not take the problem's loss, which rounds them."""
PACKAGES: dict[Framework, tuple[str, ...]] = {"torch": ("torch",), "jax": ("jax", "flax", "optax")}
"""What a variant of a framework imports, whatever its problem."""
GRAPHS = "captures a CUDA graph and needs a GPU"
PADDED = "sizes padded to suit matrix units, biases inside the weights"
ONEDNN = "chooses between MKL and oneDNN, which torch has for an x86 CPU"
X86 = ("x86_64", "amd64")
"""What Linux and macOS call it, and Windows."""
KERNELS = "has kernels of its own and needs a GPU"
COMMAND_BUFFERS = "sets how XLA uses CUDA graphs and needs a GPU"


@dataclass(frozen=True)
class Variant:
    """One way to drive the steps of a problem in one framework.

    Attributes:
        framework: "torch" or "jax".
        name: what it is called; the name stands for the same thing in both frameworks.
        what: what it is, in a line.
        problems: those it is written for: without an optimizer, nothing can be fused.
        needs_gpu: why it cannot run on a CPU; empty where it can.
        needs_x86: why it can run on no other processor; empty where it can.
        precisions: in which it can be timed.
        seeds: whether it trains several seeds together; it is timed where a case has several, and only there.
        compiles: whether torch.compile is at work: slow to start, and on a CPU in need of a C++ compiler.
        environment: variables that its process starts with, each behind what it has already.
        after: the variant of its framework that it adds to; empty where it is a beginning, or trains several seeds.
    """

    framework: Framework
    name: str
    what: str
    problems: tuple[str, ...] = PROBLEMS
    needs_gpu: str = ""
    needs_x86: str = ""
    precisions: tuple[str, ...] = PRECISIONS
    seeds: bool = False
    compiles: bool = False
    environment: tuple[tuple[str, str], ...] = ()
    after: str = ""

    @property
    def full_name(self) -> str:
        """Framework and name."""
        return f"{self.framework} {self.name}"

    def why_not(self, case: Case) -> str:
        """Why the variant cannot be timed on a case; empty where it can."""
        if case.problem not in self.problems:
            if case.problem in NETS:
                return f"{self.name} is written for {' and '.join(self.problems)} alone"
            return f"{self.name} says nothing of its own about {case.problem}, which has no optimizer"
        if case.precision not in self.precisions:
            return f"{self.name} writes its products out, in float32"
        if self.seeds != (case.seeds > 1):
            trains = "several seeds together: say how many by --seeds" if self.seeds else "one seed: leave --seeds out"
            return f"{self.name} trains {trains}"
        if missing := [package for package in PACKAGES[self.framework] if find_spec(package) is None]:
            return f"{self.name} needs {missing[0]}, which is not installed: install the extra {self.framework}"
        if self.needs_x86 and (case.device == "gpu" or platform.machine().lower() not in X86):
            return f"{self.name} {self.needs_x86}"
        lacks = case.device == "cpu" and (self.needs_gpu or (self.compiles and no_compiler()))
        return f"{self.name} {lacks}" if lacks else ""


def _command_buffer(setting: str) -> tuple[tuple[str, str], ...]:
    return (("XLA_FLAGS", f"--xla_gpu_enable_command_buffer={setting}"),)


VARIANTS = (
    Variant("torch", "notebook", "the notebook's own loop: NumPy draws the batch, new tensors each step"),
    Variant("torch", "stepped", "eager, torch.optim, data on the device", after="notebook"),
    Variant("torch", "fused", "stepped with torch's fused Adam", NETS, after="stepped"),
    Variant("torch", "compiled", "gradient and update as one program of torch.compile", compiles=True, after="stepped"),
    Variant(
        "torch", "compiled_reduce_overhead", "compiled, mode reduce-overhead: a graph a call", compiles=True,
        after="compiled",
    ),
    Variant(
        "torch", "compiled_max_autotune", "compiled, mode max-autotune: kernels tried out", compiles=True,
        after="compiled",
    ),
    Variant(
        "torch", "compiled_padded", f"compiled, {PADDED}", NETS, precisions=OF_FLOAT32, compiles=True,
        after="compiled",
    ),
    Variant(
        "torch", "compiled_onednn", "compiled, products by oneDNN and not by MKL", NETS,
        needs_x86=ONEDNN, precisions=OF_FLOAT32, compiles=True, after="compiled",
    ),
    Variant(
        "torch", "graph_step", "one CUDA graph of a step, replayed for each; eager inside", needs_gpu=GRAPHS,
        after="stepped",
    ),
    Variant(
        "torch", "graph_step_compiled", "one CUDA graph of a step, replayed for each; compiled inside",
        needs_gpu=GRAPHS, compiles=True, after="compiled",
    ),
    Variant(
        "torch", "whole_run", "all steps in one CUDA graph, torch.optim inside", needs_gpu=GRAPHS,
        after="graph_step",
    ),
    Variant("torch", "whole_run_fused", "whole_run with torch's fused Adam", NETS, GRAPHS, after="whole_run"),
    Variant(
        "torch", "whole_run_compiled", "all steps in one CUDA graph; compiled inside",
        needs_gpu=GRAPHS, compiles=True, after="graph_step_compiled",
    ),
    Variant(
        "torch", "whole_run_padded", f"whole_run_compiled, {PADDED}", NETS, GRAPHS,
        precisions=OF_FLOAT32, compiles=True, after="whole_run_compiled",
    ),
    Variant(
        "torch", "whole_run_three_kernels", "a step in three kernels of our own, in Triton; all in one CUDA graph",
        ("mnist",), KERNELS, precisions=OF_FLOAT32, after="whole_run_padded",
    ),
    Variant("torch", "many_seeds", "vmapped gradient, one Adam over stacked parameters; eager", seeds=True),
    Variant("torch", "many_seeds_compiled", "many_seeds, each step compiled", seeds=True, compiles=True),
    Variant(
        "torch", "many_seeds_whole_run", "many_seeds, all steps in one CUDA graph; compiled inside",
        needs_gpu=GRAPHS, seeds=True, compiles=True,
    ),
    Variant(
        "torch", "many_seeds_padded", f"many_seeds_whole_run, {PADDED}", ("mnist",), GRAPHS,
        precisions=OF_FLOAT32, seeds=True, compiles=True,
    ),
    Variant("jax", "nnx_jit", "nnx.jit and nnx.Optimizer, as Flax's documentation has it", NETS),
    Variant("jax", "jit_state", "jax.jit of a step over model and memory as they are", after="nnx_jit"),
    Variant("jax", "stepped", "jax.jit of a step over flat leaves, donated", after="jit_state"),
    Variant("jax", "ahead_of_time", "stepped, compiled before the first call", after="stepped"),
    Variant("jax", "whole_run", "all steps in one lax.scan", after="stepped"),
    Variant("jax", "whole_run_unrolled", "whole_run, ten steps in an iteration", after="whole_run"),
    Variant(
        "jax", "whole_run_by_hand", "whole_run in plain JAX: no Flax, no Optax, Adam written out", NETS,
        precisions=OF_FLOAT32, after="whole_run",
    ),
    Variant(
        "jax", "whole_run_flat", "whole_run_by_hand, all parameters in one vector", NETS, precisions=OF_FLOAT32,
        after="whole_run_by_hand",
    ),
    Variant(
        "jax", "whole_run_padded", f"whole_run_by_hand, {PADDED}", NETS, precisions=OF_FLOAT32,
        after="whole_run_by_hand",
    ),
    Variant(
        "jax", "whole_run_turned", "whole_run_by_hand, an example in each column", NETS, precisions=OF_FLOAT32,
        after="whole_run_by_hand",
    ),
    Variant(
        "jax", "whole_run_three_kernels", "a step in three kernels of our own, in Pallas; all in one loop",
        ("mnist",), KERNELS, precisions=OF_FLOAT32, after="whole_run_padded",
    ),
    Variant(
        "jax", "whole_run_no_command_buffer", "whole_run without CUDA graphs",
        needs_gpu=COMMAND_BUFFERS, environment=_command_buffer(""), after="whole_run",
    ),
    Variant(
        "jax", "whole_run_while_command_buffer", "whole_run, its loop in CUDA graphs too",
        needs_gpu=COMMAND_BUFFERS, environment=_command_buffer("+while"), after="whole_run",
    ),
    Variant("jax", "many_seeds", "whole_run, vmapped over seeds", seeds=True),
    Variant(
        "jax", "many_seeds_padded", "whole_run_padded, vmapped over seeds", ("mnist",),
        precisions=OF_FLOAT32, seeds=True,
    ),
)  # fmt: skip

PAIRS = (
    (("torch", "stepped"), ("jax", "stepped")),
    (("torch", "stepped"), ("jax", "nnx_jit")),
    (("torch", "compiled"), ("jax", "stepped")),
    (("torch", "compiled"), ("jax", "whole_run")),
    (("torch", "compiled_onednn"), ("jax", "whole_run_turned")),
    (("torch", "whole_run"), ("jax", "whole_run")),
    (("torch", "whole_run_compiled"), ("jax", "whole_run")),
    (("torch", "whole_run_padded"), ("jax", "whole_run_padded")),
    (("torch", "whole_run_three_kernels"), ("jax", "whole_run_three_kernels")),
    (("torch", "many_seeds"), ("jax", "many_seeds")),
    (("torch", "many_seeds_compiled"), ("jax", "many_seeds")),
    (("torch", "many_seeds_whole_run"), ("jax", "many_seeds")),
    (("torch", "many_seeds_padded"), ("jax", "many_seeds_padded")),
    (("jax", "whole_run"), ("jax", "whole_run_by_hand")),
)
"""Matched pairs: of each, the ratio of the first's time to the second's is told."""

QUICK = ("torch notebook", "torch stepped", "torch compiled", "torch whole_run", "jax stepped", "jax whole_run")
TWINS = ("torch stepped", "jax whole_run", "torch many_seeds", "jax many_seeds")
"""Timed twice, each time in a process of its own: what differs between the two is noise."""
BASELINE = "torch notebook"


def by_full_name(name: str) -> Variant:
    """The variant called "framework name". Raises NotCheckable for any other name."""
    for variant in VARIANTS:
        if variant.full_name == name:
            return variant
    raise NotCheckable(f"there is no variant {name!r}: {', '.join(variant.full_name for variant in VARIANTS)}")


def named(name: str) -> list[Variant]:
    """The variants that `--variant` names: "jax stepped" one of them, "stepped" those of both frameworks.

    Raises:
        NotCheckable: there is none of that name.
    """
    found = [variant for variant in VARIANTS if name in (variant.name, variant.full_name)]
    if not found:
        known = ", ".join(dict.fromkeys(variant.name for variant in VARIANTS))
        raise NotCheckable(
            f"--variant: there is no variant {name!r}: known are {known}, one side's as in 'jax stepped'"
        )
    return found
