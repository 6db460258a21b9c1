"""Random numbers: what holds whatever they are; tests/test_random*.py ask the rest."""

import paddle
from paddle import _C_ops
from paddle.nn import functional as F

from ..tolerance import EXACT, composed
from .case import FLOATS, Case, Gradient

_WHOLE = (*FLOATS, "int32", "int64")
_LINES = (((),), ((0,),), ((7,),), ((2, 3),), ((127, 521),))
_PLANES = (((2, 3),), ((3, 4, 5),), ((127, 521),))  # Paddle's CPU device scales no lines
_SHAPES = tuple(shape for (shape,) in _LINES)
_NOTHING = ((),)  # shapes for ops that make tensors


def _place():
    return paddle.framework._current_expected_place()


def _dtype(name):
    return getattr(paddle, name)


def _are_within(x, low, high):
    """Whether low <= x < high, and how many elements there are."""
    return [(x >= low).all(), (x < high).all(), paddle.ones_like(x).astype("int64").sum()]


def _made(make, low, high):
    """A call that makes tensors of all shapes."""

    def call(dtype):
        return [fact for shape in _SHAPES for fact in _are_within(make(shape, dtype), low, high)]

    return call


def _overwritten(change, low, high):
    """A call that draws into a copy of its argument."""
    return lambda x: _are_within(change(x.clone()), low, high)


def _shuffled(x):
    """Sorted again, whatever the order was."""
    place = _C_ops.full([1], 7, paddle.int64, _place())
    rows, order, _ = _C_ops.shuffle_batch(x, place, 0)
    return [paddle.index_select(rows.reshape([-1, x.shape[-1]]), order), paddle.sort(order)]


def _forgotten(change):
    """A call whose gradient goes through an op that overwrites: 0."""

    def call(x):
        y = x * 1
        change(y)
        return y * 0

    return call


def _gradient(kernel):
    return Gradient(kernel, EXACT)


def _dropped(x, rate, mode, is_test=False):
    return _C_ops.dropout(x, None, rate, is_test, mode, 0, False)


def _highest(x):
    """Logits so far apart that no noise changes their order."""
    place = paddle.arange(x.shape[-1]).astype(x.dtype)
    return x * 0 + place * 1000


CASES = (
    Case(
        kernel="uniform",
        call=_made(lambda shape, dtype: paddle.uniform(shape, dtype, -1, 3), -1, 3),
        shapes=_NOTHING,
        dtypes=FLOATS,
        creates=True,
    ),
    Case(
        kernel="uniform",
        name="one_number",
        call=lambda dtype: [paddle.uniform(shape, dtype, 0.75, 0.75) for shape in _SHAPES],
        shapes=_NOTHING,
        dtypes=FLOATS,
        creates=True,
    ),
    Case(
        kernel="uniform_random_batch_size_like",
        call=lambda x: _are_within(
            paddle.tensor.random.uniform_random_batch_size_like(
                x, [2, 5], str(x.dtype).split(".")[1], min=-1.0, max=3.0
            ),
            -1,
            3,
        ),
        shapes=_LINES[2:],
        dtypes=FLOATS,
    ),
    Case(
        kernel="shuffle_batch",
        call=_shuffled,
        shapes=(((1, 3),), ((7, 2),), ((4, 5, 3),)),
        dtypes=("float32", "int32", "int64"),
        domain="small",
        gradient=Gradient("shuffle_batch_grad", EXACT, dtypes=("float32",)),
    ),
    Case(
        kernel="uniform_inplace",
        call=_overwritten(lambda x: x.uniform_(-1, 3), -1, 3),
        shapes=_LINES,
        dtypes=FLOATS,
        layouts=False,
    ),
    Case(
        kernel="uniform_inplace",
        name="gradient",
        call=_forgotten(lambda x: x.uniform_(1, 3)),
        shapes=(((7,),), ((2, 3),)),
        dtypes=FLOATS,
        layouts=False,
        gradient=_gradient("uniform_inplace_grad"),
    ),
    Case(
        kernel="gaussian",
        call=_made(
            lambda shape, dtype: _C_ops.gaussian(shape, 1.0, 2.0, 0, _dtype(dtype), _place()),
            -15,
            15,
        ),
        shapes=_NOTHING,
        dtypes=FLOATS,
        creates=True,
    ),
    Case(
        kernel="gaussian",
        name="one_number",
        call=lambda dtype: [
            _C_ops.gaussian(shape, 0.75, 0.0, 0, _dtype(dtype), _place()) for shape in _SHAPES
        ],
        shapes=_NOTHING,
        dtypes=FLOATS,
        creates=True,
    ),
    Case(
        kernel="gaussian_inplace",
        call=_overwritten(lambda x: x.normal_(1, 2), -15, 15),
        shapes=_LINES,
        dtypes=FLOATS,
        layouts=False,
    ),
    Case(
        kernel="gaussian_inplace",
        name="gradient",
        call=_forgotten(lambda x: x.normal_(20, 1)),
        shapes=(((7,),), ((2, 3),)),
        dtypes=FLOATS,
        layouts=False,
        gradient=_gradient("gaussian_inplace_grad"),
    ),
    Case(
        kernel="truncated_gaussian_random",
        call=_made(
            lambda shape, dtype: _C_ops.truncated_gaussian_random(
                list(shape), 0.0, 1.0, 0, -2.0, 2.0, _dtype(dtype), _place()
            ),
            -2,
            2.5,  # the end itself is possible
        ),
        shapes=_NOTHING,
        dtypes=FLOATS,
        creates=True,
    ),
    Case(
        kernel="exponential",
        call=_overwritten(lambda x: x.exponential_(2.0), 0, 15),
        shapes=_LINES,
        dtypes=FLOATS,
        layouts=False,
    ),
    Case(
        kernel="randint",
        call=_made(lambda shape, dtype: paddle.randint(-3, 4, shape, dtype), -3, 4),
        shapes=_NOTHING,
        dtypes=("int32", "int64"),
        creates=True,
    ),
    Case(
        kernel="randint",
        name="one_number",
        call=lambda dtype: [paddle.randint(5, 6, shape, dtype) for shape in _SHAPES],
        shapes=_NOTHING,
        dtypes=("int32", "int64"),
        creates=True,
    ),
    Case(
        kernel="random",
        call=_overwritten(lambda x: x.random_(-3, 4), -3, 4),
        shapes=_LINES,
        dtypes=_WHOLE,
        layouts=False,
    ),
    Case(
        kernel="random",
        name="gradient",
        call=_forgotten(lambda x: x.random_(1, 4)),
        shapes=(((7,),), ((2, 3),)),
        dtypes=FLOATS,
        layouts=False,
        gradient=_gradient("random_grad"),
    ),
    Case(
        kernel="randperm",
        call=lambda dtype: [
            paddle.sort(paddle.randperm(count, dtype)) for count in (0, 1, 2, 7, 200)
        ],
        shapes=_NOTHING,
        dtypes=_WHOLE,
        creates=True,
    ),
    Case(
        kernel="bernoulli",
        call=lambda x: paddle.bernoulli((x > 0).astype(x.dtype)),
        shapes=_LINES,
        dtypes=FLOATS,
    ),
    Case(
        kernel="multinomial",
        call=lambda dtype: [
            paddle.multinomial(paddle.eye(5, 5, dtype), 3, replacement=True),
            paddle.multinomial(paddle.eye(5, 5, dtype), 1),
            paddle.multinomial(paddle.eye(1, 9, dtype)[0], 2, replacement=True),
            paddle.sort(paddle.multinomial(paddle.ones([3, 7], dtype), 7)),
        ],
        shapes=_NOTHING,
        dtypes=FLOATS,
        creates=True,
    ),
    *(
        Case(
            kernel="dropout",
            name=f"{mode}_{rate}",
            call=lambda x, rate=rate, mode=mode: _dropped(x, rate, mode),
            shapes=_PLANES,
            dtypes=FLOATS,
            gradient=_gradient("dropout_grad"),
        )
        for mode in ("upscale_in_train", "downgrade_in_infer")
        for rate in (0.0, 1.0)
    ),
    *(
        Case(
            kernel="dropout",
            name=f"{mode}_test",
            call=lambda x, mode=mode: _dropped(x, 0.25, mode, is_test=True),
            shapes=_PLANES,
            dtypes=FLOATS,
            rule=composed(1),
            gradient=Gradient("dropout_grad", composed(1)),
        )
        for mode in ("upscale_in_train", "downgrade_in_infer")
    ),
    Case(
        kernel="rrelu",
        call=lambda x: F.rrelu(x, 0.25, 0.25, training=True),
        shapes=_LINES,
        dtypes=FLOATS,
        gradient=_gradient("rrelu_grad"),
    ),
    Case(
        kernel="rrelu",
        name="test",
        call=lambda x: F.rrelu(x, 0.125, 0.375, training=False),
        shapes=_LINES,
        dtypes=FLOATS,
        gradient=_gradient("rrelu_grad"),
    ),
    Case(
        kernel="poisson",
        call=lambda x: paddle.poisson(x.abs() * 0).astype(x.dtype),
        shapes=_LINES,
        dtypes=FLOATS,
        gradient=_gradient("poisson_grad"),
    ),
    Case(
        kernel="binomial",
        call=lambda x: [
            _C_ops.binomial(x * 0 + trials, x * 0 + rate)
            for trials, rate in ((0, 0.5), (7, 0.0), (7, 1.0), (200, 1.0))
        ],
        shapes=_LINES,
        dtypes=FLOATS,
        layouts=False,
    ),
    Case(
        kernel="standard_gamma",
        call=lambda x: _are_within(paddle.standard_gamma(x * 0 + 1), 0, 30),
        shapes=_LINES,
        dtypes=FLOATS,
        layouts=False,
    ),
    Case(
        kernel="dirichlet",
        call=lambda x: _C_ops.dirichlet(x * 0 + 2).sum(-1),
        shapes=(((7,),), ((5, 3),), ((2, 3, 4),)),
        dtypes=FLOATS,
        rule=composed(40),
        layouts=False,
    ),
    Case(
        kernel="gumbel_softmax",
        call=lambda x: F.gumbel_softmax(_highest(x), hard=True),
        shapes=(((7,),), ((5, 3),), ((2, 3, 4),)),
        dtypes=FLOATS,
        layouts=False,
        gradient=_gradient("gumbel_softmax_grad"),
    ),
    Case(
        kernel="gumbel_softmax",
        name="sum",
        call=lambda x: F.gumbel_softmax(x, axis=1).sum(1),
        shapes=(((5, 3),), ((2, 30, 4),)),
        dtypes=FLOATS,
        rule=composed(40),
        layouts=False,
    ),
)
