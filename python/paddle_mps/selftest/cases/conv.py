"""Convolutions and transposed convolutions: strides, padding, dilation, groups, both layouts."""

import numpy as np
import paddle
from paddle.nn import functional as F

from ..tolerance import summed
from .case import FLOATS, Case, Gradient


def _products(x, w):
    """What one element of a result adds up, transposed or not."""
    return int(np.prod(w, dtype=np.int64))


def _gradient_products(x, w):
    """No gradient adds up more: those of the weights run over the larger image."""
    return 4 * int(np.prod(x, dtype=np.int64)) + _products(x, w)


def _convolution(kernel, name, call, shapes, numpy=None, large=None):
    return Case(
        kernel=kernel,
        name=name,
        call=call,
        shapes=shapes,
        dtypes=FLOATS,
        domain="unit",
        rule=summed(_products),
        numpy=numpy,
        large=large,
        layouts=name != "one_dimension",  # there Paddle makes views of its own
        gradient=Gradient(kernel=f"{kernel}_grad", rule=summed(_gradient_products)),
    )


def _numpy_conv2d(x, w):
    """Stride 1, a border of one zero on each side."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, w.shape[2:], (2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, w)


CONV2D = (
    _convolution(
        "conv2d",
        "",
        lambda x, w: F.conv2d(x, w, padding=1),
        (
            ((1, 1, 1, 1), (1, 1, 1, 1)),
            ((2, 3, 5, 6), (4, 3, 3, 3)),
            ((1, 17, 7, 5), (19, 17, 3, 2)),
            ((0, 3, 5, 6), (4, 3, 3, 3)),
        ),
        numpy=_numpy_conv2d,
        large=((8, 64, 28, 28), (64, 64, 3, 3)),
    ),
    _convolution(
        "conv2d",
        "strides",
        lambda x, w: F.conv2d(x, w, stride=(2, 3), padding=(1, 2)),
        (((2, 3, 8, 9), (4, 3, 3, 3)), ((1, 2, 6, 7), (3, 2, 2, 5))),
    ),
    _convolution(
        "conv2d",
        "uneven_padding",
        lambda x, w: F.conv2d(x, w, stride=2, padding=[0, 1, 3, 2]),
        (((2, 3, 6, 7), (2, 3, 3, 4)),),
    ),
    _convolution(
        "conv2d",
        "same",
        lambda x, w: F.conv2d(x, w, stride=2, padding="SAME"),
        (((2, 3, 7, 8), (2, 3, 4, 3)),),
    ),
    _convolution(
        "conv2d",
        "valid",
        lambda x, w: F.conv2d(x, w, padding="VALID"),
        (((2, 3, 7, 8), (2, 3, 4, 3)),),
    ),
    _convolution(
        "conv2d",
        "dilation",
        lambda x, w: F.conv2d(x, w, padding=2, dilation=(2, 3)),
        (((2, 3, 8, 9), (4, 3, 3, 2)),),
    ),
    _convolution(
        "conv2d",
        "groups",
        lambda x, w: F.conv2d(x, w, padding=1, groups=2),
        (((2, 4, 5, 6), (6, 2, 3, 3)), ((1, 8, 4, 4), (8, 4, 1, 1))),
    ),
    _convolution(
        "conv2d",
        "channels_last",
        lambda x, w: F.conv2d(x, w, stride=2, padding=1, data_format="NHWC"),
        (((2, 6, 7, 3), (5, 3, 3, 3)),),
    ),
    _convolution(
        "conv2d",
        "one_dimension",
        lambda x, w: F.conv1d(x, w, stride=2, padding=1),
        (((2, 3, 9), (4, 3, 3)),),
    ),
)

DEPTHWISE = (
    _convolution(
        "depthwise_conv2d",
        "",
        lambda x, w: paddle._C_ops.depthwise_conv2d(
            x, w, [1, 1], [1, 1], "EXPLICIT", x.shape[1], [1, 1], "NCHW"
        ),
        (((2, 4, 5, 6), (4, 1, 3, 3)), ((1, 3, 7, 7), (6, 1, 5, 3)), ((2, 2, 3, 3), (2, 1, 1, 1))),
        large=((8, 96, 28, 28), (96, 1, 3, 3)),
    ),
    _convolution(
        "depthwise_conv2d",
        "channels_last",
        lambda x, w: paddle._C_ops.depthwise_conv2d(
            x, w, [2, 1], [2, 1, 0, 1], "EXPLICIT", x.shape[3], [2, 1], "NHWC"
        ),
        (((2, 6, 7, 4), (8, 1, 3, 3)),),
    ),
    _convolution(
        "depthwise_conv2d_transpose",
        "",
        lambda x, w: paddle._C_ops.depthwise_conv2d_transpose(
            x, w, [2, 2], [1, 1], [], [], "EXPLICIT", x.shape[1], [1, 1], "NCHW"
        ),
        (((2, 4, 5, 6), (4, 1, 3, 3)),),
    ),
)

TRANSPOSED = (
    _convolution(
        "conv2d_transpose",
        "",
        lambda x, w: F.conv2d_transpose(x, w),
        (((2, 3, 4, 5), (3, 4, 3, 3)), ((1, 1, 1, 1), (1, 1, 1, 1))),
    ),
    _convolution(
        "conv2d_transpose",
        "strides",
        lambda x, w: F.conv2d_transpose(x, w, stride=2, padding=1, output_padding=1),
        (((2, 3, 4, 5), (3, 4, 3, 3)),),
        large=((4, 64, 28, 28), (64, 32, 4, 4)),
    ),
    _convolution(
        "conv2d_transpose",
        "output_size",
        lambda x, w: F.conv2d_transpose(x, w, stride=3, padding=[1, 0], output_size=[11, 17]),
        (((2, 3, 4, 5), (3, 4, 3, 4)),),
    ),
    _convolution(
        "conv2d_transpose",
        "groups",
        lambda x, w: F.conv2d_transpose(x, w, stride=2, dilation=2, groups=2),
        (((2, 4, 4, 5), (4, 3, 3, 2)),),
    ),
    _convolution(
        "conv2d_transpose",
        "channels_last",
        lambda x, w: F.conv2d_transpose(x, w, stride=2, padding=1, data_format="NHWC"),
        (((2, 4, 5, 3), (3, 4, 3, 3)),),
    ),
    _convolution(
        "conv2d_transpose",
        "one_dimension",
        lambda x, w: F.conv1d_transpose(x, w, stride=2),
        (((2, 3, 6), (3, 4, 3)),),
    ),
)

THREE_DIMENSIONS = (
    _convolution(
        "conv3d",
        "",
        lambda x, w: F.conv3d(x, w, padding=1),
        (((2, 3, 4, 5, 6), (4, 3, 3, 3, 3)), ((1, 1, 1, 1, 1), (1, 1, 1, 1, 1))),
        large=((2, 16, 8, 28, 28), (16, 16, 3, 3, 3)),
    ),
    _convolution(
        "conv3d",
        "groups",
        lambda x, w: F.conv3d(x, w, stride=2, padding=[2, 1, 0], dilation=(2, 1, 1), groups=2),
        (((2, 4, 5, 4, 6), (2, 2, 3, 2, 3)),),
    ),
    _convolution(
        "conv3d",
        "channels_last",
        lambda x, w: F.conv3d(x, w, stride=(1, 2, 1), data_format="NDHWC"),
        (((2, 3, 5, 4, 3), (2, 3, 2, 3, 2)),),
    ),
    _convolution(
        "conv3d_transpose",
        "",
        lambda x, w: F.conv3d_transpose(x, w, stride=2, padding=1, output_padding=1),
        (((2, 3, 2, 3, 4), (3, 2, 3, 3, 3)),),
    ),
    _convolution(
        "conv3d_transpose",
        "groups",
        lambda x, w: F.conv3d_transpose(x, w, stride=(1, 2, 3), groups=2),
        (((1, 4, 2, 3, 4), (4, 1, 2, 2, 2)),),
    ),
)

CASES = (*CONV2D, *DEPTHWISE, *TRANSPOSED, *THREE_DIMENSIONS)
