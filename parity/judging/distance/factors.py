"""The stated factors: every figure that a verdict rests on and that is not itself measured in the run.

Each stands here with the measurement that justifies it, and parity_tests/parity/judging/distance/test_factors.py shows
both sides of it: what must pass does, and what must not is stopped.
"""

FLOAT64_FACTOR = 50.0
"""A float64 limit is this many times the smaller noise of the two sides."""

FLOAT64_FLOOR = 1e-12
"""A float64 limit is never below this. Losses of the three problems differ by 5e-16, gradients by up to 4e-13."""

FLOAT64_CEILING = 1e-9
"""A float64 limit is never above this. float32 arithmetic inside a float64 run shows 1e-8 and more."""

FLOAT32_FACTOR = 50.0
"""A float32 limit is this many times the yardstick: the largest of the other side's distance, its noise, and a few eps.
Optax's first float32 Adam update is 6.8e-6 from the judge where torch's is 1.8e-7, 38 times nearer; both are right."""

BFLOAT16_FACTOR = 2.0
"""A bfloat16 limit is this many times the same yardstick, so never below 8 eps, 0.0625. With float32's factor it would
be 1.6, and a tensor of zeros is 1 away. Measured over 2 or 3 seeds of the line fit, mlp, mnist, gru, gpt and convnet:
layers, losses, updates and scores are up to 1.9 eps from the judge, gradients at the side's own activations up to 3.9,
and neither side more than 1.0 times the larger of the other side's distance and 4 eps."""

FEW_EPS = 4
"""The yardstick of float32 is never below this many eps (2**-23): what a handful of roundings may do. bfloat16's
likewise (2**-7)."""

UNDERFLOW = 2.0
"""A float32 limit is never below this many times the smallest normal number (2**-126): what is smaller may be handed
on as zero, as XLA does on a CPU and torch does not. In 9 of 20 seeds of the convnet the second moment of a null
gradient, 3e-35 at its largest, was 0.3 to 0.6 of that number off, 1e-4 to 3e-4 of its own scale."""

CAP = 0.5
"""A float32 limit never exceeds this share of the coarse distance. TF32 is stopped by it even where the sum is long."""

LOW_CAP = 64
"""A cap below this many eps is within what an ordinary float32 sum may lose, and does not apply. 60,000 numbers added
one by one: 4.4e-6 off, beside a cap of 6e-7, 5 eps; as one product of a matrix and a vector: 9.5e-6, beside a sum that
is 1e-7 off. The cap of a product over 784 is 1350 eps, its float32 distance 3 eps."""

NULL = 1e-9
"""A gradient below this share of its stage's scale, throughout and on both sides, is nothing but rounding."""

SENTINEL = 1e4
"""An activation or an output from here on may have been written in and not computed: masks use from -1e4, which float16
holds, by way of -1e9 to the lowest number and infinity."""

SENTINEL_GAP = 1e3
"""How many times larger it has to be than all that is smaller. With -1e4 in it, a limit of 1e-12 of the scale would be
1e-8: of logits up to 10, whatever is wrong is further away. Of those beside -1e9 it would be 1e-3."""

NOISE_DRAWS = 3
"""Runs from which noise is taken; the last is an undisturbed repeat, the others start one unit aside."""

MINIMUM_POWER = 2.0
"""A stage is inconclusive where some kind of wrong answer is not at least this many limits away. The cap leaves 2."""

MOVED_ASIDE_ULPS = 4
"""How far, in units of the last place of float32, a state is moved aside where an activation flips."""

MOVES = 8
"""How often a state is moved aside before a flip counts as a difference. Of 100 states of the MLP, 1 or 2 flip
something; of 8 of ResNet-18, all do, and in 2 a given gradient is off."""
