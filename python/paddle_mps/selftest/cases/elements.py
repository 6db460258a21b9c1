"""x[index] and x[index] = value, where index holds tensors."""

import numpy as np
import paddle

from ..tolerance import EXACT, summed
from .case import ALL, NUMBERS, Case, Gradient


def _few(*shapes):
    """More terms than any sum below has."""
    return 512


def _at(*positions):
    """Positions, as data on the device."""
    return paddle.to_tensor(np.array(positions, "int64"))


def _odd_rows(x):
    return paddle.to_tensor(np.arange(x.shape[0]) % 2 == 1)


def _read(name, call, shapes, numpy):
    return Case(
        kernel="index_elementwise_get",
        name=name,
        call=call,
        shapes=shapes,
        dtypes=ALL,
        layouts=False,  # of a view Paddle reads by other kernels
        numpy=numpy,
        gradient=Gradient(kernel="index_elementwise_get_grad", rule=summed(_few), dtypes=NUMBERS),
    )


READ = (
    _read(
        "",
        lambda x: x[_at(3, 0, -1, 1, 3)],
        (((4,),), ((5, 6),), ((4, 3, 2),), ((127, 521),)),
        lambda x: x[[3, 0, -1, 1, 3]],
    ),
    _read(
        "int32",
        lambda x: x[:, _at(2, -2, 0).cast("int32")],
        (((2, 3),), ((5, 4, 2),)),
        lambda x: x[:, [2, -2, 0]],
    ),
    _read(
        "two",
        lambda x: x[_at(3, 0, 3), _at(1, 2, 1)],
        (((4, 3),), ((5, 6, 2),)),
        lambda x: x[[3, 0, 3], [1, 2, 1]],
    ),
    _read(
        "apart",
        lambda x: x[_at(3, 0, 3), :, _at(1, 2, 1)],
        (((4, 2, 3),), ((5, 6, 3, 2),)),
        lambda x: x[[3, 0, 3], :, [1, 2, 1]],
    ),
    _read(
        "grid",
        lambda x: x[_at([0], [3]), _at(1, 2, 1)],
        (((4, 3),), ((5, 6, 2),)),
        lambda x: x[[[0], [3]], [1, 2, 1]],
    ),
    _read(
        "slices",
        lambda x: x[1:3, _at(1, 2, 1), ::2],
        (((4, 3, 5),), ((3, 6, 4, 2),)),
        lambda x: x[1:3, [1, 2, 1], ::2],
    ),
    _read("mask", lambda x: x[_odd_rows(x)], (((4,),), ((5, 6),)), lambda x: x[1::2]),
    _read(
        "mask_and_index",
        lambda x: x[_odd_rows(x), _at(1, 0)],
        (((4, 2),), ((5, 3, 4),)),
        lambda x: x[[1, 3], [1, 0]],
    ),
)


def _positions(x, index):
    """The numbers of the elements that an index names, in their shape."""
    index = index if isinstance(index, tuple) else (index,)
    index = tuple(i.numpy() if isinstance(i, paddle.Tensor) else i for i in index)
    return np.arange(x.size).reshape(x.shape)[index]


def _put(index):
    def call(x, v):
        if x.place.is_cpu_place():
            # The CPU device gives v wrong gradients in float64 and int64; by index_put right ones.
            at = _positions(x, index(x))
            wide = paddle.broadcast_to(v, at.shape).flatten()
            flat = (paddle.to_tensor(at.ravel()),)
            return paddle.index_put(x.flatten(), flat, wide).reshape(x.shape)
        x = x + paddle.zeros_like(x)
        x[index(x)] = v
        # Of what is changed in place, and wanted no gradient before, Paddle counts its own twice
        # where nothing was written: on the CPU device too.
        return paddle.assign(x)

    return call


def _put_number(index, number):
    def call(x):
        x = x + paddle.zeros_like(x)
        x[index(x)] = number
        return x

    return call


def _write(name, index, shapes):
    return Case(
        kernel="index_elementwise_put_with_tensor",
        name=name,
        call=_put(index),
        shapes=shapes,
        dtypes=ALL,
        layouts=False,
        gradient=Gradient(
            kernel="index_elementwise_put_with_tensor_grad", rule=summed(_few), dtypes=NUMBERS
        ),
    )


def _write_number(name, index, shapes):
    return Case(
        kernel="index_elementwise_put",
        name=name,
        call=_put_number(index, 1),
        shapes=shapes,
        dtypes=ALL,
        layouts=False,
        gradient=Gradient(kernel="index_elementwise_put_grad", rule=EXACT, dtypes=NUMBERS),
    )


WRITE = (
    _write(
        "",
        lambda x: _at(3, 0, -3),
        (((4,), (3,)), ((5, 6), (3, 6)), ((5, 6), (6,)), ((4, 2, 3), (3, 1, 3))),
    ),
    _write(
        "slices",
        lambda x: (slice(1, 3), _at(1, 2, 0), slice(None, None, 2)),
        (((4, 3, 5), (2, 3, 3)), ((4, 3, 5), (3,))),
    ),
    _write("apart", lambda x: (_at(3, 0), slice(None), _at(1, 2)), (((4, 2, 3), (2, 2)),)),
    _write("mask", _odd_rows, (((4, 3), (2, 3)),)),
    _write_number("", lambda x: _at(3, 0, 3), (((4,),), ((5, 6),), ((4, 2, 3),))),
    _write_number("slices", lambda x: (slice(1, 3), _at(1, 2, 1)), (((4, 3, 5),), ((3, 4),))),
    _write_number("two", lambda x: (_at(3, 0), _at(1, 2)), (((4, 3),), ((5, 6, 2),))),
)

CASES = (*READ, *WRITE)
