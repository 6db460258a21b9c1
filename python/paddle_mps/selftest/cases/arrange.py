"""Turning, repeating and taking apart: flip, roll, tile, unstack, shuffled pixels, and so on."""

import numpy as np
import paddle
from paddle.nn import functional as F

from ..tolerance import EXACT, summed
from .case import ALL, FLOATS, NUMBERS, Case, Gradient

INTS = (*FLOATS, "int32", "int64")


def _few(*shapes):
    """A gradient of a repeated element adds up at most this many copies in the cases below."""
    return 16 * max(1, *(int(np.prod(shape, dtype=np.int64)) for shape in shapes))


FLIP = (
    Case(
        kernel="flip",
        call=lambda x: paddle.flip(x, [0]),
        shapes=(((1,),), ((7,),), ((2, 3),), ((0, 3),), ((127, 521),)),
        dtypes=ALL,
        numpy=lambda x: np.flip(x, 0),
        large=((2053, 1999),),
        gradient=Gradient(kernel="flip", rule=EXACT),
    ),
    Case(
        kernel="flip",
        name="two_axes",
        call=lambda x: paddle.flip(x, [0, -1]),
        shapes=(((4, 5, 6),), ((2, 3),)),
        dtypes=ALL,
        numpy=lambda x: np.flip(x, (0, -1)),
        gradient=Gradient(kernel="flip", rule=EXACT),
    ),
    Case(
        kernel="reverse",
        call=lambda x: paddle._C_ops.reverse(x, [0]),
        shapes=(((7,),), ((2, 3),), ((0, 3),)),
        dtypes=ALL,
        numpy=lambda x: np.flip(x, 0),
        layouts=False,  # eager mode only
        gradient=Gradient(kernel="reverse", rule=EXACT),
    ),
)

ROLL = (
    Case(
        kernel="roll",
        call=lambda x: paddle.roll(x, [1, -2], [0, -1]),
        shapes=(((4, 5),), ((2, 3, 4),), ((0, 3),), ((127, 521),)),
        dtypes=ALL,
        numpy=lambda x: np.roll(x, (1, -2), (0, -1)),
        gradient=Gradient(kernel="roll_grad", rule=EXACT, dtypes=NUMBERS),
    ),
    Case(
        kernel="roll",
        name="flat",
        call=lambda x: paddle.roll(x, 13),
        shapes=(((4, 5),), ((7,),)),
        dtypes=ALL,
        numpy=lambda x: np.roll(x, 13),
        gradient=Gradient(kernel="roll_grad", rule=EXACT),
    ),
)

TILE = (
    Case(
        kernel="tile",
        call=lambda x: paddle.tile(x, [2, 1, 3]),
        shapes=(((),), ((5,),), ((2, 3),), ((4, 5, 2),), ((0, 3),), ((2, 3, 4, 5),)),
        dtypes=ALL,
        numpy=lambda x: np.tile(x, (2, 1, 3)),
        gradient=Gradient(kernel="tile_grad", rule=summed(_few), dtypes=NUMBERS),
    ),
    Case(
        kernel="repeat_interleave",
        call=lambda x: paddle.repeat_interleave(x, 3, axis=1),
        shapes=(((2, 3),), ((4, 5, 2),), ((127, 131),)),
        dtypes=INTS,
        numpy=lambda x: np.repeat(x, 3, axis=1),
        gradient=Gradient(kernel="repeat_interleave_grad", rule=summed(_few), dtypes=INTS),
    ),
    Case(
        kernel="meshgrid",
        call=lambda x, y, z: paddle.meshgrid(x, y, z),
        shapes=(((3,), (4,), (5,)), ((1,), (7,), (2,))),
        dtypes=INTS,
        numpy=lambda x, y, z: np.meshgrid(x, y, z, indexing="ij"),
        # All at once: asked for one alone, Paddle crashes, on its CPU device as well.
        gradient=Gradient(kernel="meshgrid_grad", rule=summed(_few), dtypes=INTS, inputs=(0, 1, 2)),
    ),
)

APART = (
    Case(
        kernel="unbind",
        call=lambda x: paddle.unbind(x, axis=1),
        shapes=(((4, 3),), ((2, 5, 6),)),
        dtypes=ALL,
        copies=True,
        numpy=lambda x: list(np.moveaxis(x, 1, 0)),
        gradient=Gradient(kernel="stack", rule=EXACT),
    ),
    Case(
        kernel="unstack",
        call=lambda x: paddle.unstack(x, axis=-1),
        shapes=(((4, 3),), ((2, 5, 6),), ((2, 1),)),
        dtypes=INTS,
        numpy=lambda x: list(np.moveaxis(x, -1, 0)),
        gradient=Gradient(kernel="unstack_grad", rule=EXACT, dtypes=INTS),
    ),
    Case(
        kernel="crop",
        call=lambda x: paddle.crop(x, [2, -1], [1, 2]),
        shapes=(((4, 5),), ((31, 67),)),
        dtypes=INTS,
        numpy=lambda x: x[1:3, 2:],
        gradient=Gradient(kernel="crop_grad", rule=EXACT, dtypes=INTS),
    ),
)


def _shuffled(x, r):
    n, c, h, w = x.shape
    x = x.reshape(n, c // (r * r), r, r, h, w).transpose(0, 1, 4, 2, 5, 3)
    return x.reshape(n, c // (r * r), h * r, w * r)


SHUFFLE = tuple(
    Case(
        kernel=kernel,
        name=name,
        call=call,
        shapes=shapes,
        dtypes=FLOATS,
        numpy=numpy,
        gradient=Gradient(kernel=f"{kernel}_grad", rule=EXACT),
    )
    for kernel, name, call, shapes, numpy in (
        (
            "pixel_shuffle",
            "",
            lambda x: F.pixel_shuffle(x, 2),
            (((2, 8, 3, 5),), ((1, 4, 1, 1),)),
            lambda x: _shuffled(x, 2),
        ),
        (
            "pixel_shuffle",
            "channels_last",
            lambda x: F.pixel_shuffle(x, 2, data_format="NHWC"),
            (((2, 3, 5, 8),),),
            None,
        ),
        ("pixel_unshuffle", "", lambda x: F.pixel_unshuffle(x, 3), (((2, 2, 6, 9),),), None),
        (
            "pixel_unshuffle",
            "channels_last",
            lambda x: F.pixel_unshuffle(x, 3, data_format="NHWC"),
            (((2, 6, 9, 2),),),
            None,
        ),
        (
            "channel_shuffle",
            "",
            lambda x: F.channel_shuffle(x, 3),
            (((2, 6, 3, 5),), ((7, 0, 2, 3),)),
            lambda x: (
                x.reshape(len(x), 3, x.shape[1] // 3, *x.shape[2:]).swapaxes(1, 2).reshape(x.shape)
            ),
        ),
        (
            "channel_shuffle",
            "channels_last",
            lambda x: F.channel_shuffle(x, 3, data_format="NHWC"),
            (((2, 3, 5, 6),),),
            None,
        ),
    )
)


def _shuffle_channel(x):
    # On the CPU device under its other name: under this one it moves half of a float64, and its
    # gradient moves channels the wrong way.
    if not paddle.get_device().startswith("mps"):
        return F.channel_shuffle(x, 3)
    return paddle._C_ops.shuffle_channel(x, 3)


SHUFFLE_CHANNEL = (
    Case(
        kernel="shuffle_channel",
        call=_shuffle_channel,
        shapes=(((2, 6, 3, 5),), ((1, 3, 1, 1),)),
        dtypes=FLOATS,
        gradient=Gradient(kernel="shuffle_channel_grad", rule=EXACT),
    ),
)

CASES = (*FLIP, *ROLL, *TILE, *APART, *SHUFFLE, *SHUFFLE_CHANNEL)
