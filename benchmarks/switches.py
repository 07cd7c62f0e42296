"""Variables by which a caller's environment would change what a variant is, and those that are told with a result."""

from __future__ import annotations

import os

CLEARED = (
    "CUDA_LAUNCH_BLOCKING",
    "JAX_CHECK_TRACER_LEAKS",
    "JAX_DEBUG_INFS",
    "JAX_DEBUG_NANS",
    "JAX_DEFAULT_DTYPE_BITS",
    "JAX_DEFAULT_MATMUL_PRECISION",
    "JAX_DISABLE_JIT",
    "JAX_ENABLE_COMPILATION_CACHE",
    "JAX_ENABLE_X64",
    "JAX_PLATFORMS",
    "JAX_PLATFORM_NAME",
    "NVIDIA_TF32_OVERRIDE",
    "TORCHDYNAMO_DISABLE",
    "TORCHINDUCTOR_FORCE_DISABLE_CACHES",
    "TORCHINDUCTOR_MAX_AUTOTUNE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "TORCH_COMPILE_DISABLE",
)
"""No process of a variant has them: compiled code would not be compiled, TF32 would be where float32 was asked for.
What sets how fast a library works (XLA_FLAGS, threads) is the caller's choice, and told."""
TOLD = (
    "CUDA", "DNNL", "GOMP", "JAX", "KMP", "MKL", "NVIDIA", "OMP", "ONEDNN", "PYTORCH", "TORCH", "TRITON", "XLA"
)  # fmt: skip
SECRET = ("KEY", "TOKEN", "SECRET", "PASSWORD")
"""In names of variables whose value is for nobody to read, least of all in a result that is published."""


def to_clear() -> list[str]:
    """Those of the caller's that a variant's process is not to have."""
    return [name for name in CLEARED if name in os.environ]


def clear() -> None:
    """Take them out of this process's environment, before a framework reads it."""
    for name in to_clear():
        del os.environ[name]


def flags() -> dict[str, str]:
    """Every variable of this process's that a framework or one of its libraries may read, by name."""
    return {
        name: value for name, value in sorted(os.environ.items())
        if name.startswith(TOLD) and not any(part in name for part in SECRET)
    }  # fmt: skip
