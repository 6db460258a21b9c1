"""Resizing of images, and sampling them at the places of a grid."""

import paddle
from paddle.nn import functional as F

from ..tolerance import EXACT, summed
from .case import FLOATS, Case, Gradient


def _few(*shapes):
    """What one element of a result adds up, with room for the roundings of the places."""
    return 256


def _many(*shapes):
    """Weights of both signs: what cancels is larger than the result at absolute values."""
    return 4096


_SCALE = 4.0  # of what a "small" image or matrix is multiplied by, and its numbers


def _resize(kernel, name, call, shapes, large=None, layouts=True):
    is_nearest = kernel == "nearest_interp"
    has_negative_weights = kernel in ("bicubic_interp", "interp_antialias")
    # A place that rounding moves off a pixel takes in a little of the next, whatever this one is.
    rule = summed(_many if has_negative_weights else _few, scale=_SCALE)
    return Case(
        kernel=kernel,
        name=name,
        call=call,
        shapes=shapes,
        dtypes=FLOATS,
        domain="small",
        rule=EXACT if is_nearest else rule,
        large=large,
        layouts=layouts,
        gradient=Gradient(kernel=f"{kernel}_grad", rule=rule),
    )


_IMAGES = (((2, 3, 6, 7),), ((1, 1, 2, 2),), ((1, 2, 5, 9),))
_VOLUMES = (((2, 3, 3, 4, 5),),)


def _interpolate(mode, corners=False, align_mode=0, data_format="NCHW", **size):
    return lambda x: F.interpolate(
        x,
        mode=mode,
        align_corners=corners,
        align_mode=align_mode,
        data_format=data_format,
        **size,
    )


NEAREST = (
    _resize(
        "nearest_interp",
        "",
        _interpolate("nearest", scale_factor=2),
        _IMAGES,
        large=((8, 64, 56, 56),),
    ),
    _resize("nearest_interp", "size", _interpolate("nearest", size=[9, 5]), _IMAGES),
    _resize(
        "nearest_interp",
        "channels_last",
        _interpolate("nearest", data_format="NHWC", size=[4, 9]),
        (((2, 5, 6, 3),),),
    ),
    _resize(
        "nearest_interp",
        "volume",
        _interpolate("nearest", data_format="NCDHW", size=[4, 3, 9]),
        _VOLUMES,
    ),
)

LINEAR = (
    _resize(
        "linear_interp",
        "",
        _interpolate("linear", data_format="NCW", size=[9]),
        (((2, 3, 6),), ((1, 1, 1),), ((2, 1, 13),)),
    ),
    _resize(
        "linear_interp",
        "corners",
        _interpolate("linear", corners=True, data_format="NWC", size=[7]),
        (((2, 6, 3),),),
    ),
    _resize(
        "bilinear_interp",
        "",
        _interpolate("bilinear", scale_factor=2),
        _IMAGES,
        large=((8, 64, 56, 56),),
    ),
    _resize("bilinear_interp", "corners", _interpolate("bilinear", True, size=[9, 5]), _IMAGES),
    _resize("bilinear_interp", "mode_1", _interpolate("bilinear", False, 1, size=[9, 5]), _IMAGES),
    _resize(
        "bilinear_interp", "scales", _interpolate("bilinear", scale_factor=[2.5, 0.6]), _IMAGES
    ),
    _resize(
        "bilinear_interp",
        "channels_last",
        _interpolate("bilinear", data_format="NHWC", size=[4, 9]),
        (((2, 5, 6, 3),),),
    ),
    _resize(
        "trilinear_interp",
        "",
        _interpolate("trilinear", data_format="NCDHW", size=[4, 3, 9]),
        _VOLUMES,
    ),
    _resize(
        "trilinear_interp",
        "corners",
        _interpolate("trilinear", True, data_format="NCDHW", size=[2, 6, 5]),
        _VOLUMES,
    ),
)

CUBIC = (
    _resize("bicubic_interp", "", _interpolate("bicubic", scale_factor=2), _IMAGES),
    _resize("bicubic_interp", "corners", _interpolate("bicubic", True, size=[9, 5]), _IMAGES),
    _resize(
        "bicubic_interp",
        "channels_last",
        _interpolate("bicubic", data_format="NHWC", size=[4, 9]),
        (((2, 5, 6, 3),),),
    ),
)


def _sample(mode, padding, corners, shapes, name):
    return Case(
        kernel="grid_sample",
        name=name,
        call=lambda x, grid: F.grid_sample(x, grid, mode, padding, corners),
        shapes=shapes,
        dtypes=FLOATS,
        domain=("small", "unit" if padding == "zeros" else "small"),
        # At the absolute values of the grid other elements are read: see _SCALE.
        rule=summed(_few, scale=_SCALE),
        gradient=Gradient(kernel="grid_sample_grad", rule=summed(_many, scale=_SCALE)),
    )


_GRIDS = (((2, 3, 5, 6), (2, 4, 3, 2)), ((1, 1, 2, 2), (1, 7, 1, 2)))

GRIDS = (
    *(
        _sample(
            mode,
            padding,
            corners,
            _GRIDS,
            ""
            if (mode, padding, corners) == ("bilinear", "zeros", True)
            else f"{mode}_{padding}{'_corners' if corners else ''}",
        )
        for mode in ("bilinear", "nearest")
        for padding in ("zeros", "border", "reflection")
        for corners in (True, False)
    ),
    Case(
        kernel="grid_sample",
        name="nearest_ties",
        call=lambda x: F.grid_sample(x, paddle.zeros([1, 1, 3, 2], x.dtype), "nearest"),
        shapes=(((1, 2, 6, 6),), ((1, 1, 4, 8),)),  # the middle is between two elements
        dtypes=FLOATS,
        domain="small",
        rule=EXACT,
    ),
    _sample("bilinear", "zeros", False, (((2, 3, 3, 4, 5), (2, 2, 3, 2, 3)),), "volume"),
    *(
        Case(
            kernel="affine_grid",
            name=name,
            call=lambda theta, s=size, c=corners: F.affine_grid(theta, s, c),
            shapes=(shape,),
            dtypes=FLOATS,
            domain="small",
            rule=summed(_few, scale=_SCALE),
            gradient=Gradient(kernel="affine_grid_grad", rule=summed(_few, scale=_SCALE)),
        )
        for name, size, corners, shape in (
            ("", [2, 3, 4, 5], True, ((2, 2, 3),)),
            ("areas", [2, 3, 7, 2], False, ((2, 2, 3),)),
            ("volume", [2, 1, 3, 4, 5], True, ((2, 3, 4),)),
            ("volume_areas", [1, 1, 3, 2, 5], False, ((1, 3, 4),)),
        )
    ),
)

ANTIALIAS = tuple(
    _resize(
        "interp_antialias",
        f"{mode}{name}",
        lambda x, m=mode, c=corners, f=layout, s=size: F.interpolate(
            x, mode=m, align_corners=c, data_format=f, antialias=True, **s
        ),
        shapes,
        layouts=name == "_smaller",
    )
    for mode in ("bilinear", "bicubic")
    for name, corners, layout, size, shapes in (
        ("_smaller", False, "NCHW", {"size": [3, 2]}, _IMAGES[::2]),
        ("_larger", False, "NCHW", {"scale_factor": 1.5}, _IMAGES[:1]),
        ("_to_one", False, "NCHW", {"scale_factor": [0.3, 0.2]}, _IMAGES[:1]),
        ("_corners_last", True, "NHWC", {"size": [3, 4]}, (((2, 7, 9, 3),),)),
    )
)

CASES = (*ANTIALIAS, *NEAREST, *LINEAR, *CUBIC, *GRIDS)
