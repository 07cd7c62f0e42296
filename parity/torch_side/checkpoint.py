"""A `state_dict` that `torch.save` wrote, as arrays."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch

from parity.errors import NotCheckable
from parity.recording import Arrays


def state_dict(path: Path) -> Arrays:
    """The tensors of a checkpoint by name. Only tensors and plain containers are ever unpickled.

    Raises:
        NotCheckable: the file is truncated or of another kind, or holds more than a dictionary of tensors.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise NotCheckable(
            f"{path}: holds more than tensors, or is no checkpoint of torch's: save model.state_dict() and nothing else"
        ) from error
    except (OSError, RuntimeError, EOFError) as error:
        raise NotCheckable(f"{path}: not a whole checkpoint of torch's") from error
    if not isinstance(found, dict):
        raise NotCheckable(f"{path}: holds a {type(found).__name__}: expected a dictionary of tensors, a state_dict")
    for name, tensor in found.items():
        if not isinstance(tensor, torch.Tensor):
            raise NotCheckable(f"{path}: {name} is a {type(tensor).__name__}: save model.state_dict() and nothing else")
    # NumPy lacks bfloat16; float32 holds each of its values.
    exact = {n: t.float() if t.dtype == torch.bfloat16 else t for n, t in found.items()}
    return {name: tensor.detach().numpy().copy() for name, tensor in exact.items()}
