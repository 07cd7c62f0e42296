"""Mistakes in a port of the small GPT."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import torch
from flax import nnx
from torch.nn import functional as F

from parity_tests.ports.anywhere import Port, adam, losses_and_data
from parity_tests.ports.gpt import in_jax, in_torch
from parity_tests.ports.gpt.in_jax import HEADS, MLP, VOCABULARY, WIDTH, Attention, Block, Net
from parity_tests.ports.planted import Mistake, Plant, drawn, entry, mapped, parts
from parity_tests.ports.planted_jax import Change, UnscaledDropout, become, have, in_float32, model, replaced
from parity_tests.ports.planted_torch import have as torch_have
from parity_tests.ports.planted_torch import model as torch_model


class Parted(Attention):
    """The right attention in parts, each of which a mistake may replace."""

    order = (0, 1, 2)
    scale = (WIDTH // HEADS) ** -0.5
    ahead = 0
    over = -1

    def __call__(self, x: jax.Array) -> jax.Array:
        batch, length, width = x.shape
        packed = self.packed(self.c_attn(x))
        q, k, v = (packed[:, :, index] for index in self.order)
        scores = self.scale * jnp.einsum("nqhd,nkhd->nhqk", q, k)
        seen = jnp.tril(jnp.ones((length, length), bool), self.ahead)
        weights = nnx.softmax(jnp.where(seen, scores, -1e30), axis=self.over)
        return self.c_proj(self.merged(jnp.einsum("nhqk,nkhd->nqhd", weights, v)).reshape(batch, length, width))

    def packed(self, x: jax.Array) -> jax.Array:
        return x.reshape(*x.shape[:2], 3, HEADS, WIDTH // HEADS)

    def merged(self, y: jax.Array) -> jax.Array:
        return y


class Unmasked(Parted):
    ahead = 99


class MaskOneAhead(Parted):
    ahead = 1


class Unscaled(Parted):
    scale = 1.0


class ScaledByWidth(Parted):
    scale = WIDTH**-0.5


class SoftmaxOverQueries(Parted):
    over = -2


class KeysFirst(Parted):
    order = (1, 0, 2)


class HeadsLast(Parted):
    def packed(self, x: jax.Array) -> jax.Array:
        return x.reshape(*x.shape[:2], 3, WIDTH // HEADS, HEADS).swapaxes(-1, -2)


class HeadsNotMovedBack(Parted):
    def merged(self, y: jax.Array) -> jax.Array:
        return y.swapaxes(1, 2)


class StockAttention(Attention):
    def __call__(self, x: jax.Array) -> jax.Array:
        packed = self.c_attn(x).reshape(*x.shape[:2], 3, HEADS, WIDTH // HEADS)
        q, k, v = jnp.moveaxis(packed, 2, 0)
        y: jax.Array = nnx.dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(y.reshape(x.shape))


class ExactGELU(MLP):
    def __call__(self, x: jax.Array) -> jax.Array:
        return self.c_proj(nnx.gelu(self.c_fc(x), approximate=False))


class WithoutResidual(Block):
    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.dropout(self.attn(self.ln_1(x)))
        return x + self.dropout(self.mlp(self.ln_2(x)))


class NormedBehind(Block):
    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.ln_1(x + self.dropout(self.attn(x)))
        output: jax.Array = self.ln_2(x + self.dropout(self.mlp(x)))
        return output


class DroppedOnce(Block):
    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + self.dropout(self.attn(self.ln_1(x)))
        return x + self.mlp(self.ln_2(x))


class GradientStopped(Block):
    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + self.dropout(jax.lax.stop_gradient(self.attn(self.ln_1(x))))
        return x + self.dropout(self.mlp(self.ln_2(x)))


class PartedNet(Net):
    """The right net in parts, each of which a mistake may replace."""

    def __call__(self, tokens: jax.Array) -> jax.Array:
        x = self.drop(self.embedded(tokens))
        for block in self.blocks():
            x = block(x)
        return self.logits(x)

    def blocks(self) -> list[Any]:
        return list(self.h)

    def embedded(self, tokens: jax.Array) -> jax.Array:
        return self.wte(tokens) + self.wpe(jnp.arange(tokens.shape[1]))

    def logits(self, x: jax.Array) -> jax.Array:
        return self.wte.attend(self.ln_f(x))


class ScaledEmbedding(PartedNet):
    def embedded(self, tokens: jax.Array) -> jax.Array:
        output: jax.Array = WIDTH**0.5 * self.wte(tokens) + self.wpe(jnp.arange(tokens.shape[1]))
        return output


class PositionsFromOne(PartedNet):
    def embedded(self, tokens: jax.Array) -> jax.Array:
        return self.wte(tokens) + self.wpe((jnp.arange(tokens.shape[1]) + 1) % tokens.shape[1])


class WithoutLastNorm(PartedNet):
    def logits(self, x: jax.Array) -> jax.Array:
        return self.wte.attend(x)


class Untied(PartedNet):
    """The head reads the embedding's numbers and gives no gradient back."""

    def logits(self, x: jax.Array) -> jax.Array:
        output: jax.Array = self.ln_f(x) @ jax.lax.stop_gradient(self.wte.embedding[...]).T
        return output


class FirstBlockTwice(PartedNet):
    def blocks(self) -> list[Any]:
        return [self.h[0], self.h[0]]


class Float32Norm(nnx.LayerNorm):
    def __call__(self, x: jax.Array, **named: Any) -> jax.Array:
        return in_float32(super().__call__(x, **named))


class AlwaysDropping(torch.nn.Dropout):
    """F.dropout is not told whether the model is in training."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.dropout(x, self.p)


def left_in_evaluation(net: Net, batch: dict[str, jax.Array]) -> jax.Array:
    net.eval()  # type: ignore[no-untyped-call]
    return in_jax.loss(net, batch)


def last_position_only(net: Net, batch: dict[str, jax.Array]) -> jax.Array:
    last = nnx.log_softmax(net(batch["tokens"])[:, -1])
    return -jnp.mean(jnp.take_along_axis(last, batch["targets"][:, -1:], axis=1))


def _net(*changes: Change) -> Plant:
    return parts(model=model(Net, *changes))


def _attention(kind: type[Attention]) -> Plant:
    return _net(become("h.0.attn", kind))


def _embed() -> nnx.Embed:
    return nnx.Embed(VOCABULARY, WIDTH, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))


_port = Port(
    inputs="tokens",
    labels="targets",
    loss=in_jax.loss,
    first="wte.weight",
    last="ln_f.bias",
    last_in_jax="ln_f.bias",
    decayed="wte.weight",
    vector="h.0.ln_1.weight",
    drawn=3,
)
_mixed = "h.0.attn.c_proj.input"

MISTAKES = [
    # Parameters
    Mistake("a square kernel that is not transposed", "jax",
            mapped({"h.0.attn.c_proj.weight": "h.0.attn.c_proj.kernel: as is"}), "forward", "h.0.attn.c_proj.output"),
    Mistake("a square kernel that is transposed on its way in", "jax",
            drawn("h.1.attn.c_proj.weight", lambda kernel: kernel.T), "init", "h.1.attn.c_proj.weight",
            says="transposed"),
    Mistake("tied weights whose second gradient is lost", "jax", _net(become("", Untied)), "backward", "wte.weight"),
    # Layers
    Mistake("LayerNorm's epsilon 1e-6 for 1e-5", "jax", _net(have("h.0.ln_1", epsilon=1e-6)),
            "forward", "h.0.ln_1.output"),
    Mistake("LayerNorm's epsilon 1e-6 for 1e-5", "torch",
            parts(model=torch_model(in_torch.Net, torch_have("ln_f", eps=1e-6))), "forward", "ln_f.output"),
    Mistake("the exact GELU for the tanh form", "jax", _net(become("h.1.mlp", ExactGELU)),
            "forward", "h.1.mlp.c_proj.input"),
    Mistake("causal mask missing", "jax", _attention(Unmasked), "forward", _mixed),
    Mistake("causal mask that sees one token ahead", "jax", _attention(MaskOneAhead), "forward", _mixed),
    Mistake("scores not divided by the root of a head's width", "jax", _attention(Unscaled), "forward", _mixed),
    Mistake("scores divided by the root of the whole width", "jax", _attention(ScaledByWidth), "forward", _mixed),
    Mistake("softmax over the queries", "jax", _attention(SoftmaxOverQueries), "forward", _mixed),
    Mistake("keys and queries exchanged", "jax", _attention(KeysFirst), "forward", _mixed),
    Mistake("heads split in the wrong order", "jax", _attention(HeadsLast), "forward", _mixed),
    Mistake("heads not moved back before they are merged", "jax", _attention(HeadsNotMovedBack), "forward", _mixed,
            says="another order"),
    Mistake("Flax's attention, whose softmax is in float32", "jax", _attention(StockAttention), "forward", _mixed),
    Mistake("embedding in bfloat16", "jax", _net(replaced("wte", _embed)), "forward", "wte.output"),
    Mistake("float32 inside a float64 run", "jax", _net(become("h.1.ln_2", Float32Norm)),
            "forward", "h.1.ln_2.output"),
    Mistake("embedding scaled by the root of the width", "jax", _net(become("", ScaledEmbedding)),
            "forward", "h.0.ln_1.input"),
    Mistake("positions counted from one", "jax", _net(become("", PositionsFromOne)), "forward", "wpe.output",
            says="rolled along axis 0"),
    Mistake("residual connection missing", "jax", _net(become("h.0", WithoutResidual)), "forward", "h.0.ln_2.input"),
    Mistake("norms behind the layers", "jax", _net(become("h.1", NormedBehind)), "forward", "h.1.ln_1.input"),
    Mistake("the last norm missing", "jax", _net(become("", WithoutLastNorm)), "forward", "output"),
    Mistake("the first block applied twice", "jax", _net(become("", FirstBlockTwice)), "forward", "ln_f.input"),
    Mistake("a gradient that stops behind the attention", "jax", _net(become("h.1", GradientStopped)),
            "backward", "h.1.attn.c_proj.weight", says="zero"),
    # Modes
    Mistake("left in evaluation mode", "jax", parts(loss=left_in_evaluation), "forward", "h.0.ln_1.input"),
    Mistake("dropout while evaluating", "torch",
            parts(model=torch_model(in_torch.Net, lambda net: setattr(net, "drop", AlwaysDropping(0.1)))), "",
            says="the torch side draws random numbers of its own"),
    Mistake("dropout of 0.2 for 0.1", "jax", _net(have("drop", rate=0.2)), "forward", "h.0.ln_1.input"),
    Mistake("dropout that scales nothing up", "jax", _net(become("drop", UnscaledDropout)),
            "forward", "h.0.ln_1.input", says="as without the factor of a dropout of 0.1"),
    Mistake("dropout behind the MLP missing", "jax", _net(become("h.0", DroppedOnce)), "forward", "h.1.ln_1.input"),
    # Losses and data
    Mistake("the loss of the last position only", "jax", parts(loss=last_position_only), "loss", "loss"),
    Mistake("targets not shifted", "jax", entry("targets", lambda a: a[:, ::-1]), "data", "targets"),
    *losses_and_data(_port),
    *adam(_port, rate=1e-3, decay=0.01),
]  # fmt: skip
