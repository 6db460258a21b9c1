"""Where mps and Paddle's CPU device differ on purpose, and why: what a hunt does not report.

Rows of the table are named by the starts of their names.
"""

from __future__ import annotations

# Not drawn on tensors without elements.
EMPTY: dict[str, str] = {
    "argmax": "the CPU device returns memory that nobody wrote",
    "argmin": "the CPU device returns memory that nobody wrote",
    "amax": "the CPU device returns memory that nobody wrote; mps refuses, as both do for max",
    "amin": "the CPU device returns memory that nobody wrote; mps refuses, as both do for min",
    "full_batch_size_like": "the CPU device's result has the shape of its input",
    "crop": "the CPU device takes nothing beyond nothing for nothing; mps refuses",
    "expand_as": "the CPU device takes three elements for none; mps refuses, as both do for expand",
    "mean": "of integers, the CPU device casts NaN to them",
    "topk": "the CPU device asks for more elements than there are, and writes nothing",
    "bmm": "the CPU device returns memory that nobody wrote where the sums are empty",
    "sum-to_float32": "the CPU device forgets the dtype that was asked for",
}
# Not drawn on views that name an element more than once, by strides of 0.
REPEATED: dict[str, str] = {
    "reshape": "Paddle's own reshape takes a line of one element for as many as it names; the CPU "
    "device then finds its memory too small, mps reads what lies behind it",
}
# Values are compared, gradients are not.
GRADIENTS: dict[str, str] = {
    "put_along_axis-amax_without_self": "the CPU device counts x among equals that it leaves out",
}


def leaves_out_empty(name: str) -> bool:
    """Whether the row is not drawn on tensors without elements."""
    return name.startswith(tuple(EMPTY))


def leaves_out_repeated(name: str) -> bool:
    """Whether the row is not drawn on views with strides of 0."""
    return name.startswith(tuple(REPEATED))


def leaves_out_gradient(name: str) -> bool:
    """Whether the gradient of the row is not compared."""
    return name.startswith(tuple(GRADIENTS))
