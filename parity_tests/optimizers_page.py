"""`python -m parity_tests.optimizers_page` writes docs/optimizers.md, whose every figure it measures (minutes).

The figures are those that the tests of `parity.jax_side.optimizer.translated` hold to their limits, taken by the
same functions.
"""

from __future__ import annotations

import inspect
import math
from importlib.metadata import version

import numpy as np
import torch

from parity.jax_side.optimizer.schedules import RATES as SCHEDULES
from parity.torch_side import described, schedules
from parity_tests.parity.optimizers.beside import CARRIED, STEPS, all_ways
from parity_tests.parity.optimizers.cases import CASES, RATES
from parity_tests.parity.optimizers.changes import CHANGES, SMALL
from parity_tests.parity.optimizers.paired import said
from parity_tests.parity.optimizers.stock import RATE, STOCK, measured
from parity_tests.proof import ROOT, put, table

PAGE = ROOT / "docs" / "optimizers.md"
LONGEST = 10_000
"""The `T_max` of that cosine."""
PACKAGES = ("torch", "jax", "optax", "numpy")

FORMULAS = (
    ("SGD", "`g += decay p`; `b = momentum b + (1 - dampening) g`, at first `b = g`; `p -= lr b`, with Nesterov "
     "`lr (g + momentum b)`",
     "`b = momentum b + g`; decay is `add_decayed_weights` in front",
     "no dampening", "torch's; the state counts steps where there is dampening, since the first step is another"),
    ("Adam", "`m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`; `p -= lr/c1 m / (sqrt(v)/sqrt(c2) + eps)`, "
     "`c = 1 - b^t`",
     "`p -= lr (m/c1) / (sqrt(v/c2) + eps)`, the same but for rounding",
     "in float32 `1 - 0.999**t` is off by up to 2e-5 of itself, since 0.999 is rounded before",
     "torch's; in float32 `c = -expm1(t ln b)`, the logarithm taken in Python: off by 4e-7 at most"),
    ("AdamW", "`p *= 1 - lr decay`, then Adam", "`p -= lr (Adam + decay p)`",
     "the decay is 1e-4 by default, torch's 1e-2",
     "torch's, with the product in torch's order"),
    ("AMSGrad", "Adam with `max(v)` so far in place of `v`, corrected afterwards",
     "the largest of the corrected `v/c2`",
     "corrected before the largest is taken: another optimizer in the first thousand steps", "torch's"),
    ("RMSprop", "`v = a v + (1 - a) g^2`; `d = g / (sqrt(v) + eps)`, centred `sqrt(v - mean(g)^2)`; `p -= lr d`, with "
     "momentum `b = momentum b + d`, `p -= lr b`",
     "`d = g / sqrt(v + eps)`; `b = momentum b + lr d`, `p -= b`",
     "epsilon under the root unless `eps_in_sqrt=False`; `a` is 0.9 by default, torch's 0.99; the buffer holds rates",
     "torch's"),
    ("Adagrad", "`s += g^2`, `p -= lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)`", "`p -= lr g / sqrt(s + eps)`",
     "epsilon under the root; begins at 0.1 with 1e-7 by default, torch at 0 with 1e-10; no `lr_decay`", "torch's"),
    ("Adamax", "`u = max(b2 u, abs(g) + eps)`; `p -= lr/c1 m / u`", "the same", "", "torch's"),
    ("NAdam", "Adam's moments; `u = b1 (1 - 0.96^(t decay) / 2)`, `U = u1 ... ut`, `w` the next `u`; "
     "`p -= lr ((1 - u)/(1 - U) g + w/(1 - U w) m) / (sqrt(v/c2) + eps)`",
     "`p -= lr (b1 m/c1' + (1 - b1) g/c1) / (sqrt(v/c2) + eps)`, `c1'` of the next step",
     "no `momentum_decay`: `u` is `b1` in all steps",
     "torch's; `U` is rounded to float32 in every step, as torch rounds it, also beside float64 parameters"),
    ("RAdam", "Adam's moments; `p -= lr m/c1 r sqrt(c2) / (sqrt(v) + eps)`, and `lr m/c1` while the average is over at "
     "most 5 steps",
     "`p -= lr m/c1 r / (sqrt(v/c2) + eps)`",
     "epsilon added after the correction; in float32 the length of the average has lost its places",
     "torch's; in float32 the length in a form in which nothing cancels"),
    ("Adadelta", "`v = r v + (1 - r) g^2`, `d = sqrt(u + eps)/sqrt(v + eps) g`, `u = r u + (1 - r) d^2`; `p -= lr d`",
     "the same", "", "torch's"),
    ("Rprop", "`s` grows where `g` keeps its sign and shrinks where it turns; `p -= sign(g) s`, not where it turns",
     "the same steps, each a step later", "the first step is none, the last is never taken", "torch's"),
    ("clip_grad_norm_", "`g *= min(1, bound / (norm + 1e-6))`, any order",
     "`g *= bound / norm` beyond the bound, order 2",
     "no 1e-6", "torch's"),
    ("clip_grad_value_", "`g` cut to `[-bound, bound]`", "the same", "", "the same"),
)  # fmt: skip


def agreement() -> str:
    """How far every case's translation is from torch, every way to share the steps."""
    lines = []
    for case in CASES:
        figures = [f"{figure:.0e}" for rate in RATES.values() for figure in all_ways(case, rate).values()]
        single = max(max(all_ways(case, rate, "float32").values()) for rate in RATES.values())
        lines.append([case.name, *figures, f"{single:.0e}"])
        print(lines[-1], flush=True)
    ways = ("JAX", "torch, then JAX", "JAX, then torch")
    header = ("case", *(f"{way}, {name}" for name in RATES for way in ways), "float32, largest")
    return table(header, lines)


def own() -> str:
    """How far Optax's own optimizers are from torch."""
    lines = [
        [stock.case.name, f"`{stock.written}`", *(f"{measured(stock, dtype):.0e}" for dtype in ("float64", "float32")),
         stock.why or "the same"]
        for stock in STOCK
    ]  # fmt: skip
    return table(("torch", "Optax", "float64", "float32", "why"), lines)


def options() -> str:
    """What a check says of each option that is changed by little on the JAX side."""
    lines = []
    for change in CHANGES:
        first, _, words = said(change).partition("; ")
        told = SMALL.get(change, change)
        lines.append([change.case, f"`{change.option}`", f"`{told.value}`", first.partition(", tensor ")[0], words])
        print(lines[-1], flush=True)
    return table(("case", "option", "on the JAX side", "first difference", "what is said of it"), lines)


def formulas() -> str:
    """The formulas of both frameworks."""
    return table(("", "torch", "Optax", "where they differ", "the translation"), FORMULAS)


def rates() -> str:
    """The closed forms of the schedulers."""
    lines = [[name, inspect.getdoc(SCHEDULES[name]) or ""] for name in schedules.OPTIONS if name in SCHEDULES]
    lines += [
        ["OneCycleLR", "two or three phases, each a cosine or a line; momentum or beta1 cycles beside the rate"],
        [
            "CyclicLR",
            "up and down in lines, cycle by cycle, each way as high as `mode` says; momentum or beta1 goes down "
            "and up beside the rate",
        ],
        [
            "LambdaLR, MultiplicativeLR",
            "`lr` times what the function gives for `count`, or times the product of what it gave so far: a table of "
            "as many steps as `read_torch_optimizer(..., steps=...)` is told, a pair's its own",
        ],
    ]
    return table(("scheduler", "the rate after `count` steps"), lines)


def multiplied_up() -> float:
    """How far torch's cosine is from its closed form at most, down and up again, as a share of the first rate."""
    optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, LONGEST)
    apart = 0.0
    for count in range(1, 2 * LONGEST + 1):
        optimizer.step()
        scheduler.step()
        apart = max(apart, abs(float(scheduler.get_last_lr()[0]) - (1 + math.cos(math.pi * count / LONGEST)) / 2))
    return apart


def refused() -> str:
    """What is not translated, and why."""
    lines = [[name, why] for name, why in (described.NOT_TRANSLATED | schedules.NOT_TRANSLATED).items()]
    return table(("", "why"), lines)


def page() -> str:
    """docs/optimizers.md."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return PAGE_TEXT.format(
        versions=versions, steps=STEPS, carried=CARRIED, rate=RATE, formulas=formulas(), rates=rates(),
        refused=refused(), small=RATES["small"], large=RATES["very large"],
        own=own(), agreement=agreement(), options=options(), longest=LONGEST, cosine=multiplied_up(),
    )  # fmt: skip


PAGE_TEXT = """\
# Optimizers of torch in Optax

Written by `python -m parity_tests.optimizers_page`, which takes every figure anew ({versions}). Do not edit.

A model whose forward agrees still trains differently where its optimizer does, and `torch.optim` and Optax differ in
more than a dozen places. `parity` reads a torch optimizer and makes the Optax transformation that takes the same
steps:

```python
import torch

from parity import from_optax, read_torch_optimizer, to_optax, write_torch_optimizer

model = torch.nn.Linear(3, 2)
parameters = dict(model.named_parameters())
optimizer = torch.optim.AdamW(parameters.values(), lr=1e-3)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=100)


def clip(gradients_of):
    torch.nn.utils.clip_grad_norm_(gradients_of, 1.0)


read = read_torch_optimizer(optimizer, parameters, scheduler, clip)  # plain numbers and NumPy arrays
transformation = to_optax(read)  # an ordinary optax.GradientTransformation
```

`transformation.init` goes on from what the torch optimizer remembers. The leaves stand under torch's names, or a
`weight_map=WeightMap.load(FILE)` that `parity map` saved stands between the two. The way back:

```python
import jax

leaves = {{name: jax.numpy.asarray(parameter.detach().numpy()) for name, parameter in parameters.items()}}
state = transformation.init(leaves)
# ... steps in JAX: updates, state = transformation.update(gradients, state, leaves)
write_torch_optimizer(from_optax(read, state, leaves), optimizer, parameters, scheduler)
```

In a pair that names an optimizer on its torch side alone, the JAX side takes the translation of it.

## The formulas

`g` is the gradient, its sign turned for `maximize`, with the decay added where that is not decoupled; `p` the
parameter, `t` the number of the step, from 1.

{formulas}

## Schedules

A scheduler is stepped once after every step, so that its lengths are in steps. Its numbers are made in float64 where
64-bit JAX is on, and in float32 from what Python knows of them.

{rates}

Torch multiplies its rate up from step to step, which rounds each time: with `T_max={longest}` its cosine, down and up
again, is up to {cosine:.0e} of the first rate from its own closed form.

## How near the translation is

The largest difference of any parameter after any of {steps} steps, and of anything that the optimizer remembers after
the last, by the largest absolute value so far. Gradients are drawn, of any size from 1e-5 to 10, a tenth of them zero;
small is a rate of {small:g}, very large {large:g}; a state is carried over after {carried} steps. In float64 the limit
of the tests is 1e-12, in float32 1e-5.

{agreement}

## What is said of an option that is otherwise

Where both sides of a pair name an optimizer and their updates differ, torch's is read, and the step is taken again with
other values of every option, with another schedule or clipping, another kind, and in the forms that Optax has; what
leaves of the difference no more than rounding, and is borne out by other steps, is named with both values. Here each
option has another value in the translation on the JAX side of a small classifier that is trained at a rate of
{rate:g}.

{options}

## Optax's own optimizers

Given torch's constants, at a rate of {rate:g}.

{own}

What these remember is compared under torch's names, and handed on from step to step under them: `nu` is `square_avg`
in RMSprop, `exp_avg_sq` in Adam and `exp_inf` where torch's optimizer is Adamax. What is not the same quantity is not
taken for it: the momentum buffer of RMSprop holds steps that are already multiplied by minus the rate, and a check says
so. Steps that torch counts and Optax does not are counted by the check, unless there is a scheduler. Another counter
that one side alone keeps, such as the `mini_step` of `optax.MultiSteps`, is listed; what else an optimizer of torch's
remembers is seen where it stands in its `state`, in tensors called as Optax calls them (`acc_grads`).

## What is not translated

It is refused with its name and the reason, as is any other optimizer or scheduler, a subclass, an optimizer with hooks,
parameters that have taken different numbers of steps, and a `clip` that does anything beside one call of
`clip_grad_norm_` or `clip_grad_value_`.

{refused}

- A gradient of JAX is never absent, and one that is zero still decays the parameter and its moments. Torch leaves a
  parameter without a gradient as it is: leave such a parameter out of what the optimizer is given.
- Gradients of several passes are summed by torch where they are not zeroed between, in their own dtype.
  `optax.MultiSteps` averages them, in float32; torch's steps, clipping included, are those of
  `optax.MultiSteps(to_optax(read), passes, use_grad_mean=False, accumulator_dtype=dtype)`.
- NAdam keeps the product of its momenta in float32, and `load_state_dict` makes that float64 beside float64 parameters:
  then torch itself goes on with other steps than it would have taken, and the optimizer is refused until the product is
  float32 again. A state of the translation has the product in every element of a parameter.
- What torch would have raised at, a compiled step cannot: beyond its `total_steps` OneCycleLR gives a rate
  that is not a number.
- Centred RMSprop takes the square of a mean from a mean of squares. Where a gradient hardly changes, what is left under
  the root is rounding, in torch as well, and then the two frameworks part.
- Numbers too small for float32's normal range (1e-38) are zero in XLA and not in torch. That can show in the second
  moment of a gradient that is nothing but rounding.
"""


if __name__ == "__main__":
    with np.errstate(all="raise", under="ignore"):
        put(PAGE, page())
    print(f"written: {PAGE.relative_to(ROOT)}")
