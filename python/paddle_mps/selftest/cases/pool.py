"""Pooling: maxima, averages, powers; windows of all kinds; the places of maxima, and back."""

from paddle.nn import functional as F

from ..tolerance import EXACT, composed, summed
from .case import FLOATS, Case, Gradient


def _window(*shapes):
    """No window below has more elements."""
    return 64


_IMAGES = (((2, 3, 6, 8),), ((1, 1, 3, 3),), ((2, 5, 7, 9),))
_LAST = (((2, 6, 8, 3),), ((1, 7, 9, 18),))
_VOLUMES = (((2, 3, 4, 6, 5),), ((1, 1, 3, 3, 3),))


def _maximum(kernel, name, call, shapes, numpy=None, large=None):
    return Case(
        kernel=kernel,
        name=name,
        call=call,
        shapes=shapes,
        dtypes=FLOATS,
        domain="small",
        rule=EXACT,
        numpy=numpy,
        large=large,
        layouts=name != "one_dimension",  # there Paddle makes views of its own
        gradient=Gradient(kernel=f"{kernel}_grad", rule=summed(_window)),
    )


def _average(kernel, name, call, shapes, numpy=None, large=None):
    return Case(
        kernel=kernel,
        name=name,
        call=call,
        shapes=shapes,
        dtypes=FLOATS,
        domain="small",
        rule=summed(_window),
        numpy=numpy,
        large=large,
        gradient=Gradient(kernel=f"{kernel}_grad", rule=summed(_window)),
    )


def _tiles(x):
    n, c, h, w = x.shape
    return x[:, :, : h // 2 * 2, : w // 2 * 2].reshape(n, c, h // 2, 2, w // 2, 2)


POOL2D = (
    _maximum(
        "pool2d",
        "",
        lambda x: F.max_pool2d(x, 2),
        (*_IMAGES, ((0, 3, 6, 8),)),
        numpy=lambda x: _tiles(x).max((3, 5)),
        large=((16, 64, 56, 56),),
    ),
    _maximum("pool2d", "overlapping", lambda x: F.max_pool2d(x, 3, 2, 1), _IMAGES),
    _maximum("pool2d", "ceil", lambda x: F.max_pool2d(x, 3, 2, [1, 0], ceil_mode=True), _IMAGES),
    # The last windows begin behind the image.
    _maximum("pool2d", "beyond", lambda x: F.max_pool2d(x, 1, 2, ceil_mode=True), _IMAGES),
    _maximum("pool2d", "same", lambda x: F.max_pool2d(x, (3, 2), 2, "SAME"), _IMAGES),
    _maximum(
        "pool2d",
        "channels_last",
        lambda x: F.max_pool2d(x, 3, 2, [0, 1, 1, 2], data_format="NHWC"),
        _LAST,
    ),
    _maximum("pool2d", "one_dimension", lambda x: F.max_pool1d(x, 3, 2, 1), (((2, 3, 9),),)),
    _average(
        "pool2d",
        "average",
        lambda x: F.avg_pool2d(x, 2),
        _IMAGES,
        numpy=lambda x: _tiles(x).mean((3, 5)),
        large=((16, 64, 56, 56),),
    ),
    _average("pool2d", "average_overlapping", lambda x: F.avg_pool2d(x, 3, 2, 1), _IMAGES),
    _average(
        "pool2d",
        "average_with_padding",
        lambda x: F.avg_pool2d(x, 3, 2, 1, exclusive=False, ceil_mode=True),
        _IMAGES,
    ),
    _average(
        "pool2d",
        "average_channels_last",
        lambda x: F.avg_pool2d(x, 3, 2, 1, data_format="NHWC"),
        _LAST,
    ),
    _average(
        "pool2d",
        "global",
        lambda x: F.adaptive_avg_pool2d(x, 1),
        _IMAGES,
        numpy=lambda x: x.mean((2, 3), keepdims=True),
        large=((16, 512, 7, 7),),
    ),
    _average("pool2d", "adaptive", lambda x: F.adaptive_avg_pool2d(x, (3, 4)), _IMAGES),
    _average(
        "pool2d",
        "adaptive_channels_last",
        lambda x: F.adaptive_avg_pool2d(x, (5, 2), data_format="NHWC"),
        _LAST,
    ),
)

POOL3D = (
    _maximum("pool3d", "", lambda x: F.max_pool3d(x, 2, 1), _VOLUMES),
    _maximum("pool3d", "ceil", lambda x: F.max_pool3d(x, 3, 2, 1, ceil_mode=True), _VOLUMES),
    _average("pool3d", "average", lambda x: F.avg_pool3d(x, 3, 2, 1), _VOLUMES),
    _average(
        "pool3d",
        "average_with_padding",
        lambda x: F.avg_pool3d(x, 2, 2, 1, exclusive=False),
        _VOLUMES,
    ),
    _average("pool3d", "adaptive", lambda x: F.adaptive_avg_pool3d(x, (2, 3, 2)), _VOLUMES),
    _average(
        "pool3d",
        "channels_last",
        lambda x: F.avg_pool3d(x, 2, 2, data_format="NDHWC"),
        (((2, 4, 6, 5, 3),),),
    ),
)


def _with_index(kernel, name, call, shapes):
    """The maxima, and their places, which have no gradient."""
    return Case(
        kernel=kernel,
        name=name,
        call=call,
        shapes=shapes,
        dtypes=FLOATS,
        domain="small",
        rule=EXACT,
    )


def _unpooled(pool, unpool):
    def call(x):
        values, places = pool(x, 2, 2, return_mask=True)
        return unpool(values, places, 2, 2)

    return call


_EVEN_IMAGES = (((2, 3, 6, 8),), ((1, 1, 2, 2),))
_EVEN_VOLUMES = (((2, 3, 4, 6, 2),), ((1, 1, 2, 2, 2),))

PLACES = (
    _with_index(
        "max_pool2d_with_index",
        "places",
        lambda x: F.max_pool2d(x, 3, 2, 1, return_mask=True),
        _IMAGES,
    ),
    _maximum(
        "max_pool2d_with_index",
        "",
        lambda x: F.max_pool2d(x, 2, return_mask=True)[0],
        _IMAGES,
        large=((8, 32, 56, 56),),
    ),
    _maximum(
        "max_pool2d_with_index", "adaptive", lambda x: F.adaptive_max_pool2d(x, (3, 2)), _IMAGES
    ),
    _with_index(
        "max_pool3d_with_index",
        "places",
        lambda x: F.max_pool3d(x, 3, 2, 1, return_mask=True),
        _VOLUMES,
    ),
    _maximum(
        "max_pool3d_with_index",
        "",
        lambda x: F.max_pool3d(x, 2, 1, return_mask=True)[0],
        _VOLUMES,
    ),
    _maximum(
        "max_pool3d_with_index", "adaptive", lambda x: F.adaptive_max_pool3d(x, (2, 3, 2)), _VOLUMES
    ),
    _maximum("unpool", "", _unpooled(F.max_pool2d, F.max_unpool2d), _EVEN_IMAGES),
    _maximum("unpool3d", "", _unpooled(F.max_pool3d, F.max_unpool3d), _EVEN_VOLUMES),
)


def _fractional(function, sizes, kernel, random):
    return lambda x: function(x, sizes, kernel, random, return_mask=True)


FRACTIONAL = tuple(
    case
    for kernel, function, name, sizes, size, random, shapes in (
        ("fractional_max_pool2d", F.fractional_max_pool2d, "", [3, 4], None, 0.3, _IMAGES[2:]),
        ("fractional_max_pool2d", F.fractional_max_pool2d, "window", 3, [2, 3], 0.7, _IMAGES[::2]),
        ("fractional_max_pool2d", F.fractional_max_pool2d, "all", [3, 3], None, 0.5, _IMAGES[1:2]),
        ("fractional_max_pool3d", F.fractional_max_pool3d, "", [2, 3, 3], None, 0.4, _VOLUMES[:1]),
    )
    for case in (
        _with_index(kernel, f"{name}_places", _fractional(function, sizes, size, random), shapes),
        _maximum(
            kernel,
            name,
            lambda x, f=function, o=sizes, k=size, u=random: f(x, o, k, u),
            shapes,
        ),
    )
)

# Both have names, which keeps them from finite differences: Paddle's CPU device takes powers in
# float32, whatever the dtype. In half formats the gradient is made of a result that was rounded.
POWERS = tuple(
    Case(
        kernel="lp_pool2d",
        name=name,
        call=lambda x, p=power: F.lp_pool2d(x, p, 3, 2, 1),
        shapes=_IMAGES,
        dtypes=FLOATS,
        domain="positive",
        rule=composed(16),
        gradient=Gradient(kernel="lp_pool2d_grad", rule=summed(lambda x: 256, nodes=4)),
    )
    for name, power in (("squares", 2.0), ("cubes", 3.0))
)

CASES = (*POOL2D, *POOL3D, *PLACES, *FRACTIONAL, *POWERS)
