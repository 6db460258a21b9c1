"""The row type of the case tables.

A case is one op in ordinary Paddle code. It says what to call and on which shapes, dtypes and
numbers; it does not say how to test. test_ops.py, test_grads.py, test_layouts.py and
test_coverage.py ask every case their questions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..tolerance import EXACT, Rule

FLOATS = ("float32", "float16", "bfloat16")
INTEGERS = ("int32", "int64", "int16", "int8", "uint8")
NUMBERS = (*FLOATS, *INTEGERS)
ALL = (*NUMBERS, "bool")
# Types that no Metal device computes with, but that kernels which only move elements take. Paddle
# makes no views of the unsigned ones.
MOVED = (*ALL, "float64", "complex64", "complex128", "float8_e4m3fn", "float8_e5m2")
EVERY = (*MOVED, "uint32", "uint64")

Shape = tuple[int, ...]

# Shapes for ops that work on any: 0-D, one element, none, primes, more elements than a 16-bit
# counter holds (65,537 and more, not a multiple of any block).
UNARY_SHAPES: tuple[tuple[Shape, ...], ...] = (
    ((),),
    ((1,),),
    ((0,),),
    ((2, 0, 3),),
    ((7,),),
    ((1, 1, 1),),
    ((4, 5, 6),),
    ((2, 3, 1, 5, 2),),
    ((127, 521),),
)

BINARY_SHAPES: tuple[tuple[Shape, ...], ...] = (
    ((), ()),
    ((1,), (1,)),
    ((0,), (0,)),
    ((3, 0, 2), (1,)),
    ((7,), ()),
    ((), (2, 3)),
    ((2, 3), (2, 3)),
    ((2, 3), (3,)),
    ((5, 1), (1, 7)),
    ((4, 1, 5), (3, 1)),
    ((2, 3, 4, 5), (3, 1, 5)),
    ((1, 3, 1, 5), (2, 1, 4, 1)),
    ((65539,), (65539,)),
    ((263, 251), (251,)),
)


@dataclass(frozen=True)
class Gradient:
    """What the gradient of a case runs, and how far it may be off.

    The scale of the error is |gradient| for a composed rule with `magnitude` unset; the gradient at
    the inputs' absolute values for a summed rule, which bounds the sum of |products| of any
    multilinear op.
    """

    kernel: str  # "" if the gradient is made of views and runs no kernel of its own
    rule: Rule
    dtypes: tuple[str, ...] = FLOATS
    # NumPy: the inputs and the incoming gradient -> one scale per input, before broadcasting is
    # undone.
    magnitude: Callable | None = None
    also: tuple[str, ...] = ()  # other kernels that the backward pass must run on the device
    inputs: tuple[int, ...] | None = None  # the inputs that have one; by default all
    runs_in: str = ""  # the dtype that its kernels run in, where it is not that of the case's


@dataclass(frozen=True)
class Case:
    """One op asked everything."""

    kernel: str  # the kernel that must run on the device, by Paddle's name
    call: Callable  # Paddle code: tensors -> tensor, or a list; `creates`: dtype, then tensors
    shapes: tuple[tuple[Shape, ...], ...]  # each entry: one shape per input
    dtypes: tuple[str, ...]
    rule: Rule = EXACT
    name: str = ""  # what tells it from other cases of the kernel
    domain: str | tuple[str, ...] = "any"  # names in domains.py, for all inputs or one each
    numpy: Callable | None = (
        None  # the same in NumPy, float64: a second opinion on Paddle's CPU device
    )
    numpy_decides: bool = False  # in float64 the CPU device has fewer digits than float32 needs
    cpu_is_wrong: bool = False  # Paddle's CPU device has another answer: NumPy alone decides
    in_place: Callable | None = None  # Paddle code that changes its first argument
    pointwise: bool = False  # takes any shape; every pair of special values is tried
    creates: bool = False
    copies: bool = (
        False  # run without Paddle's view kernels, as static programs are: views become copies
    )
    layouts: bool = (
        True  # False: the call makes views of its own, of memory that it takes for contiguous
    )
    like_cpu: bool = True  # exact, and so is Paddle's CPU device in float32
    large: tuple[Shape, ...] | None = None  # shapes of some millions of elements, in float32
    also: tuple[str, ...] = field(default=())  # other kernels that it must run on the device
    runs_in: str = ""  # the dtype that its kernels run in, where it is not that of the inputs
    gradient: Gradient | None = None

    @property
    def id(self) -> str:
        return f"{self.kernel}-{self.name}" if self.name else self.kernel

    def __str__(self) -> str:
        return self.id
