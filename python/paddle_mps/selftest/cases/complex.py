"""complex64, which the device computes as pairs of float32: inputs are real and imaginary parts."""

from __future__ import annotations

from collections.abc import Callable

import paddle

from ..tolerance import EXACT, Rule, rounded_once
from .case import Case, Gradient, Shape

_ONE: tuple[tuple[Shape, ...], ...] = tuple(
    (shape,) * 2 for shape in ((), (1,), (0,), (7,), (3, 4), (2, 3, 5), (127, 33))
)
_MATRIX = tuple((shape,) * 2 for shape in ((3, 4), (2, 3, 5), (2, 4, 3, 2)))
_TWO = tuple(
    (x, x, y, y)
    for x, y in (
        ((), ()),
        ((7,), ()),
        ((0,), (1,)),
        ((3, 4), (3, 4)),
        ((2, 3, 5), (3, 1)),
        ((4, 1), (1, 5)),
    )
)


_SOME, _SLOPE = rounded_once(4, 2), rounded_once(8, 4)


def _call(op: Callable, pairs: int) -> Callable:
    """`op` of complex numbers as a function of their parts, to the parts of its result."""

    def call(*parts):
        of = [paddle.complex(parts[2 * i], parts[2 * i + 1]) for i in range(pairs)]
        result = op(*of)
        return paddle.as_real(result) if result.is_complex() else result

    return call


def _case(
    kernel: str,
    op: Callable,
    shapes: tuple,
    rule: Rule,
    *,
    name: str = "",
    domain: str | tuple[str, ...] = "unit",
    gradient: str | None = None,
    slope: Rule = _SLOPE,
    runs_in: str = "complex64",
    programs: bool = True,
) -> Case:
    return Case(
        kernel=kernel,
        name=f"complex_{name}" if name else "complex",
        call=_call(op, len(shapes[0]) // 2),
        shapes=shapes,
        dtypes=("float32",),
        rule=rule,
        domain=domain,
        like_cpu=False,
        copies=True,  # as_real and its like are views, which static programs do not have
        runs_in=runs_in,
        layouts=programs,  # static programs have not all that eager mode has
        gradient=None if gradient is None else Gradient(gradient, slope, dtypes=("float32",)),
    )


ARITHMETIC = (
    _case("add", lambda x, y: x + y, _TWO, EXACT, gradient="add_grad"),
    _case("subtract", lambda x, y: x - y, _TWO, EXACT, gradient="subtract_grad"),
    _case("multiply", lambda x, y: x * y, _TWO, _SOME, gradient="multiply_grad"),
    _case(
        "divide",
        lambda x, y: x / y,
        _TWO,
        rounded_once(16, 8),
        domain=("unit", "unit", "above_one", "above_one"),
        gradient="divide_grad",
        slope=rounded_once(32, 8),
    ),
    _case("scale", lambda x: paddle.scale(x, 2.5, 0.25), _ONE, _SOME),
    _case("conj", lambda x: x.conj(), _ONE, EXACT, gradient="conj"),
    _case("full_like", lambda x: paddle.full_like(x, 1.5), _ONE, EXACT),
    _case(
        "full",
        lambda x: x + paddle.full([1], 0.5 - 2j, "complex64"),
        _ONE[3:],
        EXACT,
        programs=False,
    ),
    _case("cast", lambda x: x.astype("float32"), _ONE, EXACT),
)

PARTS = (
    _case("real", paddle.real, _ONE, EXACT, gradient="real_grad"),
    _case("imag", paddle.imag, _ONE, EXACT, gradient="imag_grad"),
    _case("abs", paddle.abs, _ONE, rounded_once(4), domain="nonzero", gradient="abs_grad"),
    _case(
        "angle",
        paddle.angle,
        _ONE,
        rounded_once(8),
        domain="above_one",
        gradient="angle_grad",
        slope=rounded_once(16, 1),
    ),
    _case("as_real", paddle.as_real, _ONE, EXACT),
    _case("complex", lambda x: x, _ONE, EXACT, gradient="complex_grad", runs_in=""),
    Case(
        kernel="as_complex",
        call=lambda x: paddle.as_real(paddle.as_complex(x)),
        shapes=(((3, 2),), ((2, 5, 2),), ((0, 2),)),
        dtypes=("float32",),
        copies=True,
    ),
)

FOLDS = (
    *(
        _case(
            kernel,
            lambda x, op=op, a=a: op(x, axis=a),
            _MATRIX,
            rounded_once(8, 8),
            name=name,
            gradient=f"{kernel}_grad",
        )
        for kernel, op in (("sum", paddle.sum), ("mean", paddle.mean))
        for name, a in (("all", None), ("last", -1))
    ),
    *(
        _case(
            "matmul",
            lambda x, y, t=t: paddle.matmul(x, y, transpose_y=t),
            tuple((a, a, b, b) for a, b in shapes),
            rounded_once(16, 16),
            name=name,
            gradient="matmul_grad",
            slope=rounded_once(16, 16),
        )
        for name, t, shapes in (
            ("", False, (((3, 4), (4, 5)), ((2, 3, 4), (4, 5)), ((2, 3, 4), (4,)))),
            ("transposed", True, (((3, 4), (5, 4)), ((2, 3, 4), (2, 5, 4)))),
        )
    ),
)


def _moved(kernel: str, op: Callable, gradient: str | None = None, **more) -> Case:
    return _case(kernel, op, _MATRIX, EXACT, gradient=gradient, slope=EXACT, **more)


def _gathered(x: paddle.Tensor) -> paddle.Tensor:
    return paddle.gather(x, paddle.to_tensor([1, 0, 1]))


# As integers of their size.
MOVED = (
    _moved("concat", lambda x: paddle.concat([x, x], 1), gradient="concat_grad"),
    _moved("stack", lambda x: paddle.stack([x, x], 1), gradient="stack_grad"),
    _moved("split", lambda x: paddle.split(x, [1, x.shape[1] - 1], 1)[1]),
    _moved("expand", lambda x: x.unsqueeze(0).expand([3, *x.shape])),
    _moved("broadcast_tensors", lambda x: paddle.broadcast_tensors([x, x[:1]])[1]),
    _moved("transpose", lambda x: x.transpose([1, 0, *range(2, x.ndim)]), "transpose_grad"),
    _moved("slice", lambda x: paddle.slice(x, [0, 1], [1, 0], [2, 2]), gradient="slice_grad"),
    _moved(
        "strided_slice",
        lambda x: paddle.strided_slice(x, [1], [0], [3], [2]),
        gradient="strided_slice_grad",
    ),
    _moved(
        "pad",
        lambda x: paddle.nn.functional.pad(x, [1, 2] + [0] * (2 * x.ndim - 2), value=0.5),
        gradient="pad_grad",
    ),
    _moved("set", lambda x: x.clone().set_(x * 2, [2, 2], [2, 1]), programs=False),
    _moved("flip", lambda x: paddle.flip(x, [1]), gradient="flip"),
    _moved("roll", lambda x: paddle.roll(x, 1, 1)),
    _moved("tile", lambda x: paddle.tile(x, [2, 1])),
    _moved("unbind", lambda x: paddle.unbind(x, 1)[1]),
    _moved("gather", _gathered),
    _moved("gather_nd", lambda x: paddle.gather_nd(x, paddle.to_tensor([[1, 1], [0, 2]]))),
    _moved("masked_select", lambda x: paddle.masked_select(x, x.real() > 0), programs=False),
    _moved("where", lambda x: paddle.where(x.real() > 0, x, x * 2)),
    _moved("squeeze", lambda x: x.reshape([1, *x.shape]).squeeze(0), gradient="squeeze_grad"),
    _moved("unsqueeze", lambda x: x.unsqueeze(1), gradient="unsqueeze_grad"),
    _moved("diagonal", lambda x: paddle.diagonal(x), gradient="diagonal_grad"),
)

CASES = (*ARITHMETIC, *PARTS, *FOLDS, *MOVED)
