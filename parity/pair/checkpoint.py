"""Weights from a file, as the initial parameters of both sides. Nothing is unpickled but what torch calls safe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from parity.errors import MissingFramework, NotCheckable
from parity.recording import Array, Arrays

SAFETENSORS = ".safetensors"
STATE_DICT = (".pt", ".pth", ".bin", ".ckpt")
"""Endings of files that `torch.save` wrote."""
DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip
"""NumPy's names of the dtypes in a safetensors file; bfloat16, which NumPy lacks, as its bits. Source: the format's
description, https://github.com/huggingface/safetensors."""


def checkpoint(file: str | Path) -> Callable[[int], Arrays]:
    """The part `parameters` of a side: what a checkpoint holds, whatever the seed. Floating entries become float64.

    A safetensors file is read without either framework; a `state_dict` that `torch.save` wrote (.pt, .pth, .bin,
    .ckpt) with `weights_only=True`, and needs torch on both sides. A relative path starts at the current folder.

    Raises:
        NotCheckable: when it is read: the file is missing, truncated, of another kind, or holds more than tensors.
        MissingFramework: when it is read: a `state_dict` where there is no torch.
    """
    path = Path(file)
    if path.suffix not in (SAFETENSORS, *STATE_DICT):
        raise NotCheckable(f"{path}: not a checkpoint: its name ends in none of {SAFETENSORS}, {', '.join(STATE_DICT)}")

    def parameters(_: int) -> Arrays:
        if not path.is_file():
            raise NotCheckable(f"{path}: no such checkpoint")
        arrays = _safetensors(path) if path.suffix == SAFETENSORS else _state_dict(path)
        if not arrays:
            raise NotCheckable(f"{path}: a checkpoint without any tensor: nothing would be compared")
        return {name: array.astype(np.float64) if array.dtype.kind == "f" else array for name, array in arrays.items()}

    return parameters


def _safetensors(path: Path) -> Arrays:
    from safetensors import SafetensorError, deserialize

    try:
        entries = deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
    except (OSError, SafetensorError) as error:
        raise NotCheckable(f"{path}: not a whole safetensors file: {error}") from error
    return {name: _array(path, name, entry["dtype"], entry["shape"], entry["data"]) for name, entry in sorted(entries)}


def _array(path: Path, name: str, dtype: str, shape: list[int], data: bytes) -> Array:
    if dtype not in DTYPES:
        raise NotCheckable(f"{path}: {name} is {dtype}, which NumPy lacks: save it in a wider dtype")
    array = np.frombuffer(data, DTYPES[dtype]).reshape(shape)
    # The upper half of a float32 is what a bfloat16 is.
    return (array.astype(np.uint32) << 16).view(np.float32) if dtype == "BF16" else array.copy()


def _state_dict(path: Path) -> Arrays:
    try:
        from parity.torch_side.checkpoint import state_dict
    except ModuleNotFoundError as error:
        raise MissingFramework(
            f"{path}: a state_dict needs torch, which is not installed: save it once as {SAFETENSORS}"
        ) from error
    return state_dict(path)
