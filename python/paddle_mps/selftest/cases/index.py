"""Reading and writing by position: gather, scatter, index_*, *_along_axis, embedding, masks."""

import numpy as np
import paddle
from paddle.nn import functional as F

from ..tolerance import EXACT, summed
from .case import ALL, FLOATS, NUMBERS, Case, Gradient

_INTS = (*FLOATS, "int32", "int64")
_BOOL = (*_INTS, "bool")


def _few(*shapes):
    """More terms than any sum below has."""
    return 512


def _at(*positions):
    """Positions, as data on the device."""
    return paddle.to_tensor(np.array(positions, "int64"))


def _at32(*positions):
    return _at(*positions).cast("int32")


GATHER = (
    Case(
        kernel="gather",
        call=lambda x: paddle.gather(x, _at(3, 0, 3, 1)),
        shapes=(((4,),), ((5, 6),), ((4, 3, 2),), ((127, 521),)),
        dtypes=ALL,
        numpy=lambda x: x[[3, 0, 3, 1]],
        gradient=Gradient(kernel="gather_grad", rule=summed(_few), dtypes=NUMBERS),
    ),
    Case(
        kernel="gather",
        name="last",
        call=lambda x: paddle.gather(x, _at32(2, 2, 0), axis=-1),
        shapes=(((4,),), ((5, 6),), ((4, 3, 3),)),
        dtypes=ALL,
        numpy=lambda x: x[..., [2, 2, 0]],
        gradient=Gradient(kernel="gather_grad", rule=summed(_few), dtypes=NUMBERS),
    ),
    Case(
        kernel="gather_nd",
        call=lambda x: paddle.gather_nd(x, _at([0, 2], [3, 1], [3, 1])),
        shapes=(((4, 3),), ((5, 6, 2),)),
        dtypes=ALL,
        numpy=lambda x: x[[0, 3, 3], [2, 1, 1]],
        gradient=Gradient(kernel="gather_nd_grad", rule=summed(_few), dtypes=NUMBERS),
    ),
    Case(
        kernel="index_select",
        call=lambda x: paddle.index_select(x, _at(1, 1, 0), axis=1),
        shapes=(((4, 3),), ((5, 6, 2),), ((31, 67),)),
        dtypes=_BOOL,
        numpy=lambda x: x[:, [1, 1, 0]],
        gradient=Gradient(kernel="index_select_grad", rule=summed(_few), dtypes=_INTS),
    ),
    Case(
        kernel="index_sample",
        call=lambda x: paddle.index_sample(x, _at([1, 1, 0], [2, 0, 2])),
        shapes=(((2, 3),), ((2, 67),)),
        dtypes=_INTS,
        numpy=lambda x: np.take_along_axis(x, np.array([[1, 1, 0], [2, 0, 2]]), 1),
        gradient=Gradient(kernel="index_sample_grad", rule=summed(_few), dtypes=_INTS),
    ),
    Case(
        kernel="embedding",
        call=lambda w: F.embedding(_at([1, 0, 3], [3, 3, 2]), w),
        shapes=(((4, 5),), ((6, 1),), ((40, 67),)),
        dtypes=FLOATS,
        numpy=lambda w: w[np.array([[1, 0, 3], [3, 3, 2]])],
        gradient=Gradient(kernel="embedding_grad", rule=summed(_few)),
    ),
    Case(
        kernel="embedding",
        name="padding",
        call=lambda w: F.embedding(_at([1, 0, 3], [3, 3, 2]), w, padding_idx=3),
        shapes=(((4, 5),),),
        dtypes=FLOATS,
        gradient=Gradient(kernel="embedding_grad", rule=summed(_few)),
    ),
    Case(
        kernel="embedding",
        name="by_frequency",
        call=lambda w: F.embedding(_at([1, 0, 3], [3, 3, 2]), w, 0, scale_grad_by_freq=True),
        shapes=(((4, 5),), ((40, 67),)),
        dtypes=FLOATS,
        gradient=Gradient(kernel="embedding_with_scaled_gradient_grad", rule=summed(_few)),
    ),
)


def _scattered(x, u):
    x = x.copy()
    x[[2, 0]] = u
    return x


def _scatter_added(x, u):
    x = x.copy()
    np.add.at(x, ([0, 3, 3], [2, 1, 1]), u)
    return x


def _index_added(x, u):
    x = x.copy()
    np.add.at(x, (slice(None), [1, 1, 0]), u)
    return x


SCATTER = (
    Case(
        kernel="scatter",
        call=lambda x, u: paddle.scatter(x, _at(2, 0), u),
        shapes=(((4,), (2,)), ((5, 6), (2, 6)), ((127, 131), (2, 131))),
        dtypes=_INTS,
        numpy=_scattered,
        gradient=Gradient(kernel="scatter_grad", rule=EXACT, dtypes=_INTS),
    ),
    Case(
        kernel="scatter",
        name="add",
        call=lambda x, u: paddle.scatter(x, _at(2, 0, 2), u, overwrite=False),
        shapes=(((4,), (3,)), ((5, 6), (3, 6))),
        dtypes=_INTS,
        domain="small",
        rule=summed(_few),
        gradient=Gradient(kernel="scatter_grad", rule=EXACT, dtypes=_INTS),
    ),
    Case(
        kernel="scatter_nd_add",
        call=lambda x, u: paddle.scatter_nd_add(x, _at([0, 2], [3, 1], [3, 1]), u),
        shapes=(((4, 3), (3,)), ((5, 6, 2), (3, 2))),
        dtypes=_INTS,
        domain="small",
        rule=summed(_few),
        numpy=_scatter_added,
        gradient=Gradient(kernel="scatter_nd_add_grad", rule=EXACT, dtypes=_INTS),
    ),
    Case(
        kernel="index_add",
        call=lambda x, u: paddle.index_add(x, _at(1, 1, 0), 1, u),
        shapes=(((4, 3), (4, 3)), ((5, 6, 2), (5, 3, 2))),
        dtypes=_INTS,
        domain="small",
        rule=summed(_few),
        numpy=_index_added,
        gradient=Gradient(kernel="index_add_grad", rule=EXACT, dtypes=_INTS),
    ),
    Case(
        kernel="index_put",
        call=lambda x, v: paddle.index_put(x, (_at(0, 3), _at(2, -1)), v),
        shapes=(((4, 3), (2,)), ((5, 6, 2), (1, 2)), ((5, 6), ())),
        dtypes=ALL,
        layouts=False,
        gradient=Gradient(kernel="index_put_grad", rule=summed(_few), dtypes=NUMBERS),
    ),
    Case(
        kernel="index_put",
        name="accumulate",
        call=lambda x, v: paddle.index_put(x, (_at(0, 3, 3), _at(2, 1, 1)), v, True),
        shapes=(((4, 3), (3,)), ((5, 6, 2), (3, 2))),
        dtypes=_INTS,
        domain="small",
        rule=summed(_few),
        layouts=False,
        gradient=Gradient(kernel="index_put_grad", rule=EXACT, dtypes=_INTS),
    ),
    Case(
        kernel="index_put",
        name="mask",
        call=lambda x, v: paddle.index_put(
            x, (paddle.to_tensor(np.arange(x.shape[0]) % 2 == 1),), v
        ),
        shapes=(((4, 3), (2, 3)), ((6, 2), (2,))),
        dtypes=("float32", "int64", "bool"),
        layouts=False,
        gradient=Gradient(kernel="index_put_grad", rule=summed(_few), dtypes=("float32",)),
    ),
)

_PLACES = np.array([[1, 1, 0], [2, 0, 2]])


def _along(x):
    return paddle.to_tensor(_PLACES)


def _put(reduce, include_self=True):
    return lambda x, v: paddle._C_ops.put_along_axis(x, _along(x), v, 1, reduce, include_self)


ALONG = (
    Case(
        kernel="take_along_axis",
        call=lambda x: paddle.take_along_axis(x, _along(x), 1, broadcast=False),
        shapes=(((2, 3),), ((2, 67),)),
        dtypes=_INTS,
        numpy=lambda x: np.take_along_axis(x, _PLACES, 1),
        gradient=Gradient(kernel="take_along_axis_grad", rule=summed(_few), dtypes=_INTS),
    ),
    Case(
        kernel="put_along_axis",
        call=lambda x, v: paddle._C_ops.put_along_axis(
            x, paddle.to_tensor(_PLACES[:, 1:]), v, 1, "assign", True
        ),
        shapes=(((2, 3), (2, 2)), ((2, 67), (2, 2))),
        dtypes=_INTS,
        gradient=Gradient(kernel="put_along_axis_grad", rule=EXACT),
    ),
    *(
        Case(
            kernel="put_along_axis",
            name=name,
            call=_put(reduce, include_self),
            shapes=(((2, 3), (2, 3)), ((2, 67), (2, 3))),
            dtypes=dtypes,
            domain="small",
            rule=summed(_few, nodes=4),
            gradient=Gradient(
                kernel="put_along_axis_grad", rule=summed(_few, nodes=4), dtypes=("float32",)
            ),
        )
        for name, reduce, include_self, dtypes in (
            ("add", "add", True, _INTS),
            ("multiply", "multiply", True, _INTS),
            ("amax", "amax", True, _INTS),
            ("amin", "amin", True, _INTS),
            ("mean", "mean", True, FLOATS),
            ("add_without_self", "add", False, _INTS),
            ("amax_without_self", "amax", False, _INTS),
        )
    ),
)


def _every_third(x):
    return np.arange(int(np.prod(x.shape))).reshape(x.shape) % 3 == 1


MASKS = (
    Case(
        kernel="masked_select",
        call=lambda x: paddle.masked_select(x, paddle.to_tensor(_every_third(x))),
        shapes=(((7,),), ((4, 5),), ((1,),), ((127, 521),)),
        dtypes=ALL,
        numpy=lambda x: x[_every_third(x)],
        gradient=Gradient(kernel="masked_select_grad", rule=EXACT, dtypes=ALL),
    ),
    Case(
        kernel="nonzero",
        call=lambda x: paddle.nonzero(x),
        shapes=(((7,),), ((4, 5),), ((2, 3, 4),), ((127, 521),)),
        dtypes=(*_BOOL, "int16"),
        domain="unit",
    ),
)


SET_VALUE = (
    Case(
        kernel="set_value_with_tensor",
        call=lambda x, v: paddle._C_ops.set_value_with_tensor(
            x, v, [1, 0], [3, 5], [1, 2], [0, 1], [], []
        ),
        shapes=(((4, 5), (2, 3)), ((4, 5), (3,)), ((4, 5), ())),
        dtypes=ALL,
        layouts=False,
        gradient=Gradient(kernel="set_value_grad", rule=summed(_few), dtypes=NUMBERS),
    ),
    Case(
        kernel="set_value",
        call=lambda x: paddle._C_ops.set_value(x, [-1], [0], [1], [0], [0], [], [1], [2.0]),
        shapes=(((4, 5),),),
        dtypes=FLOATS,
        layouts=False,
        gradient=Gradient(kernel="set_value_with_scalar_grad", rule=EXACT),
    ),
    Case(
        kernel="set_value",
        name="many",
        call=lambda x: paddle._C_ops.set_value(
            x, [1], [4], [2], [0], [], [], [2, 1], [1, 0] if "int" in str(x.dtype) else [1.0, 2.0]
        ),
        shapes=(((4, 5),),),
        dtypes=NUMBERS,
        layouts=False,
        gradient=Gradient(kernel="set_value_with_scalar_grad", rule=EXACT, dtypes=NUMBERS),
    ),
    Case(
        kernel="set_value",
        name="bool",
        call=lambda x: paddle._C_ops.set_value(x, [1], [4], [2], [0], [], [], [1], [True]),
        shapes=(((4, 5),),),
        dtypes=("bool",),
        layouts=False,
    ),
)

CASES = (*GATHER, *SCATTER, *ALONG, *MASKS, *SET_VALUE)
