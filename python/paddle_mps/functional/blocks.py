"""Blocks of numbers in 8 or 4 bits each, and matrices of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._tensor import run_op, tensor_device
from . import code_books
from .state import QuantState, dtype_name

if TYPE_CHECKING:
    from paddle import Tensor

BLOCKSIZES = (32, 64, 128, 256, 512, 1024, 2048, 4096)
NESTED_BLOCKSIZE = 256
_FLOATS = ("float32", "float16", "bfloat16")
_STORAGE = {"uint8": 1, "float16": 2, "bfloat16": 2, "float32": 4}


def dense(op: str, tensor: Any, dtypes: tuple[str, ...] = _FLOATS) -> Tensor:
    """Return a tensor of one of these dtypes without gaps.

    Raises:
        TypeError: Not a tensor.
        ValueError: Not on mps, or of another dtype.
    """
    tensor_device(op, tensor)
    if dtype_name(tensor.dtype) not in dtypes:
        raise ValueError(
            f"[{op}] wrong dtype: expected {' or '.join(dtypes)}, got {dtype_name(tensor.dtype)}. "
            "Cast it."
        )
    import paddle

    if not paddle.in_dynamic_mode() or tensor.is_contiguous():  # programs have no views
        return tensor  # type: ignore[no-any-return]
    return tensor.contiguous()  # type: ignore[no-any-return]


def _result(value: Tensor, out: Tensor | None) -> Tensor:
    if out is None:
        return value
    import paddle

    paddle.assign(value, output=out)
    return out


def _check_blocksize(op: str, blocksize: int) -> None:
    if not isinstance(blocksize, int) or blocksize < 1:
        raise ValueError(
            f"[{op}] bad blocksize: expected an integer from 1 on, got {blocksize!r}. Take 256."
        )


def quantize_blockwise(
    A: Tensor,  # noqa: N803
    code: Tensor | None = None,
    absmax: Tensor | None = None,
    out: Tensor | None = None,
    blocksize: int = 4096,
    nested: bool = False,
) -> tuple[Tensor, QuantState]:
    """Quantise a tensor to 8 bits per element, with one scale for every block of elements.

    Block b is elements b * blocksize and on, counted flat; the last one may be shorter.
    absmax[b] = max |A|, and each element becomes the place of the entry of `code` that is nearest
    to A / absmax[b], computed as A * (1 / max(absmax[b], 1e-38)) in float32; of two equally near,
    the lower one.

    Args:
        A: Of any shape, float32, float16 or bfloat16, on mps.
        code: 256 numbers from -1 to 1 that rise. Default: `create_dynamic_map()`.
        absmax: A tensor to write absmax to. Default: a new one.
        out: A tensor to write the codes to. Default: a new one.
        blocksize: Elements per block, from 1 on. Default: 4096.
        nested: Quantise absmax too: less its mean, by blocks of the same size of the dynamic map,
            as bitsandbytes does here (`quantize_4bit` has blocks of 256). Default: False.

    Returns:
        The codes, uint8 in A's shape; and what is needed to read them, with float32
        [ceil(size / blocksize)] as absmax. Does not synchronise, unless `code` is given, which is
        looked at. A block with NaN has absmax NaN and all codes 255; one with infinity
        absmax infinity and 0 for all that is finite; one of zeros absmax 0 and the code of 0.

    Raises:
        TypeError: Not a tensor.
        ValueError: A is of another dtype or on another device; a bad code or blocksize.

    Accuracy:
        The bits of bitsandbytes' CUDA kernels, where two entries are not equally near.

    Source:
        Dettmers, Lewis, Shleifer and Zettlemoyer, "8-bit optimizers via block-wise quantization",
        2022; `bitsandbytes.functional.quantize_blockwise`.

    Example:
        >>> import paddle
        >>> import paddle_mps.functional as F
        >>> codes, state = F.quantize_blockwise(paddle.to_tensor([0.0, -3.0, 6.0]), blocksize=64)
        >>> codes.tolist(), state.absmax.tolist()
        ([127, 35, 255], [6.0])
        >>> list(F.dequantize_blockwise(codes, state).shape)
        [3]
    """
    op = "quantize_blockwise"
    x = dense(op, A)
    _check_blocksize(op, blocksize)
    device = tensor_device(op, x)
    if code is None:
        numbers, points, codes = code_books.on_device("dynamic", device)
    else:
        book = code_books.of_numbers(op, code.numpy())
        numbers, points, codes = code_books.to_device(book, device)
    flat, found = run_op("mps_quantize_blockwise", x, points, codes, blocksize)
    quantized = _result(flat.reshape(x.shape), out)
    found = _result(found, absmax)
    state = QuantState(found, x.shape, numbers, blocksize, None, x.dtype)
    return quantized, _nested(state, blocksize) if nested else state


def _nested(state: QuantState, blocksize: int) -> QuantState:
    """Return the state with its absmax quantised."""
    offset = state.absmax.mean()
    absmax, state2 = quantize_blockwise(state.absmax - offset, blocksize=blocksize)
    return QuantState(
        absmax,
        state.shape,
        state.code,
        state.blocksize,
        state.quant_type,
        state.dtype,
        offset,
        state2,
    )


def nested_arguments(state: QuantState) -> tuple[Any, Any, Any]:
    """Return absmax2, its code book and the offset, for the ops that take them; or None each."""
    if state.state2 is None:
        return None, None, None
    return state.state2.absmax, state.state2.code, state.offset


def _dequantize(codes: Tensor, state: QuantState, dtype: Any) -> Tensor:
    import paddle

    nested_blocksize = state.state2.blocksize if state.state2 is not None else 1
    number = getattr(paddle, dtype_name(dtype)).value
    return run_op(
        "mps_dequantize_blockwise",
        codes,
        state.absmax,
        state.code,
        *nested_arguments(state),
        state.blocksize,
        nested_blocksize,
        number,
        [int(size) for size in state.shape or ()],
    )[0]


def dequantize_blockwise(
    A: Tensor,  # noqa: N803
    quant_state: QuantState | None = None,
    absmax: Tensor | None = None,
    code: Tensor | None = None,
    out: Tensor | None = None,
    blocksize: int = 4096,
    nested: bool = False,
) -> Tensor:
    """Return the numbers that `quantize_blockwise` made codes of.

    code[A] * absmax of the block, a product of float32, rounded once to the dtype of the result.

    Args:
        A: uint8 codes, of any shape, on mps.
        quant_state: From `quantize_blockwise`. Default: made of the following ones.
        absmax: float32 [ceil(size / blocksize)]; instead of `quant_state`.
        code: float32 [256]. Default: `create_dynamic_map()`.
        out: A tensor to write to; without `quant_state` its dtype is that of the result. Default:
            a new one, of the state's dtype, or float32.
        blocksize: Elements per block. Default: 4096.
        nested: Must be False without a state, which knows.

    Returns:
        A tensor of A's shape. Does not synchronise.

    Raises:
        TypeError: Not a tensor.
        ValueError: A is no uint8 or not on mps; neither a state nor absmax; parts that do not fit.

    Accuracy:
        The bits of bitsandbytes.

    Source:
        `bitsandbytes.functional.dequantize_blockwise`.

    Example:
        >>> import paddle
        >>> import paddle_mps.functional as F
        >>> codes = paddle.to_tensor([127, 255], dtype="uint8")
        >>> F.dequantize_blockwise(codes, absmax=paddle.to_tensor([2.0])).tolist()
        [0.0, 2.0]
    """
    op = "dequantize_blockwise"
    codes = dense(op, A, ("uint8",))
    if quant_state is None:
        if absmax is None or nested:
            raise ValueError(
                f"[{op}] no scales: expected quant_state, or absmax that is not nested, got "
                "neither. Pass the state that quantize_blockwise returned."
            )
        _check_blocksize(op, blocksize)
        numbers = code_books.on_device("dynamic", tensor_device(op, codes))[0]
        dtype = "float32" if out is None else out.dtype
        quant_state = QuantState(
            absmax, None, numbers if code is None else code, blocksize, dtype=dtype
        )
    state = quant_state
    flat = QuantState(
        state.absmax,
        codes.shape,
        state.code,
        state.blocksize,
        None,
        state.dtype,
        state.offset,
        state.state2,
    )
    return _result(_dequantize(codes, flat, state.dtype), out)


def _check_4bit(op: str, blocksize: int, quant_type: str) -> None:
    code_books.check_4bit_type(op, quant_type)
    if blocksize not in BLOCKSIZES:
        raise ValueError(
            f"[{op}] bad blocksize: expected one of {', '.join(map(str, BLOCKSIZES))}, got "
            f"{blocksize}. Take 64."
        )


def quantize_4bit(
    A: Tensor,  # noqa: N803
    absmax: Tensor | None = None,
    out: Tensor | None = None,
    blocksize: int | None = None,
    compress_statistics: bool = False,
    quant_type: str = "fp4",
    quant_storage: Any = "uint8",
) -> tuple[Tensor, QuantState]:
    """Quantise a tensor to 4 bits per element, with one scale for every block of elements.

    As `quantize_blockwise`, with the 16 numbers of NF4 or FP4. Elements 2i and 2i + 1, counted
    flat, share byte i, the first one in its upper half; a half that is left over holds the code of
    0. At blocksize 64 that is 4.5 bits per element, and 4.127 with compressed statistics.

    Args:
        A: Of any shape, float32, float16 or bfloat16, on mps.
        absmax: A tensor to write absmax to. Default: a new one.
        out: A tensor to write the codes to. Default: a new one.
        blocksize: 32, 64, 128 .. 4096. Default: 64.
        compress_statistics: Quantise absmax too: less its mean, by blocks of 256 to 8 bits.
            Default: False.
        quant_type: "nf4", for what is distributed normally, or "fp4". Default: "fp4".
        quant_storage: A dtype that the bytes are shown as: uint8, float16, bfloat16 or float32.
            Default: uint8.

    Returns:
        The bytes, [ceil(size / 2), 1] as uint8; and what is needed to read them. Does not
        synchronise. A block of zeros has absmax 0; one with NaN absmax NaN.

    Raises:
        TypeError: Not a tensor.
        ValueError: A is of another dtype or on another device; a bad blocksize, quant_type or
            quant_storage; bytes that do not fill whole numbers of quant_storage.

    Accuracy:
        The bits of bitsandbytes' CUDA kernels; FP4 within one code where A * (1 / absmax) is a
        decision point.

    Source:
        Dettmers, Pagnoni, Holtzman and Zettlemoyer, "QLoRA: efficient finetuning of quantized
        LLMs", 2023; `bitsandbytes.functional.quantize_4bit`.

    Example:
        >>> import paddle
        >>> import paddle_mps.functional as F
        >>> packed, state = F.quantize_4bit(paddle.to_tensor([1.0, -1.0, 0.0]), quant_type="nf4")
        >>> packed.tolist(), state.absmax.tolist()
        ([[240], [119]], [1.0])
        >>> F.dequantize_4bit(packed, state).tolist()
        [1.0, -1.0, 0.0]
    """
    op = "quantize_4bit"
    x = dense(op, A)
    blocksize = 64 if blocksize is None else blocksize
    _check_4bit(op, blocksize, quant_type)
    storage = dtype_name(quant_storage)
    count = (x.size + 1) // 2
    if storage not in _STORAGE or count % _STORAGE[storage] != 0:
        raise ValueError(
            f"[{op}] bad quant_storage: expected {', '.join(_STORAGE)}, of which {count} bytes "
            f"fill whole numbers, got {storage}. Take uint8."
        )
    numbers, points, codes = code_books.on_device(quant_type, tensor_device(op, x))
    packed, found = run_op("mps_quantize_blockwise", x, points, codes, blocksize)
    packed = packed.reshape([-1, 1])
    if storage != "uint8":
        packed = packed.reshape([-1]).view(storage).reshape([-1, 1])
    packed, found = _result(packed, out), _result(found, absmax)
    state = QuantState(found, x.shape, numbers, blocksize, quant_type, x.dtype)
    return packed, _nested(state, NESTED_BLOCKSIZE) if compress_statistics else state


def quantize_nf4(
    A: Tensor,  # noqa: N803
    absmax: Tensor | None = None,
    out: Tensor | None = None,
    blocksize: int | None = None,
    compress_statistics: bool = False,
    quant_storage: Any = "uint8",
) -> tuple[Tensor, QuantState]:
    """Quantise a tensor to NF4: `quantize_4bit` with quant_type="nf4".

    Args:
        A: As there.
        absmax: As there.
        out: As there.
        blocksize: As there.
        compress_statistics: As there.
        quant_storage: As there.

    Returns:
        As there. Does not synchronise.

    Raises:
        ValueError: As there.

    Source:
        `bitsandbytes.functional.quantize_nf4`.

    Example:
        >>> import paddle
        >>> import paddle_mps.functional as F
        >>> F.quantize_nf4(paddle.zeros([4]))[0].tolist()
        [[119], [119]]
    """
    return quantize_4bit(A, absmax, out, blocksize, compress_statistics, "nf4", quant_storage)


def quantize_fp4(
    A: Tensor,  # noqa: N803
    absmax: Tensor | None = None,
    out: Tensor | None = None,
    blocksize: int | None = None,
    compress_statistics: bool = False,
    quant_storage: Any = "uint8",
) -> tuple[Tensor, QuantState]:
    """Quantise a tensor to FP4: `quantize_4bit` with quant_type="fp4".

    Args:
        A: As there.
        absmax: As there.
        out: As there.
        blocksize: As there.
        compress_statistics: As there.
        quant_storage: As there.

    Returns:
        As there. Does not synchronise.

    Raises:
        ValueError: As there.

    Source:
        `bitsandbytes.functional.quantize_fp4`.

    Example:
        >>> import paddle
        >>> import paddle_mps.functional as F
        >>> F.quantize_fp4(paddle.zeros([4]))[0].tolist()
        [[0], [0]]
    """
    return quantize_4bit(A, absmax, out, blocksize, compress_statistics, "fp4", quant_storage)


def as_bytes(op: str, packed: Any) -> Tensor:
    """Return packed codes of any storage dtype as flat uint8."""
    tensor = dense(op, packed, tuple(_STORAGE))
    flat = tensor.reshape([-1])
    return flat if dtype_name(flat.dtype) == "uint8" else flat.view("uint8")


def dequantize_4bit(
    A: Tensor,  # noqa: N803
    quant_state: QuantState | None = None,
    absmax: Tensor | None = None,
    out: Tensor | None = None,
    blocksize: int | None = None,
    quant_type: str = "fp4",
) -> Tensor:
    """Return the numbers that `quantize_4bit` made codes of.

    book[code] * absmax of the block, a product of float32, rounded once to the dtype of the result.

    Args:
        A: The packed bytes, of any storage dtype, on mps.
        quant_state: From `quantize_4bit`. Default: made of the following ones.
        absmax: float32 [ceil(size / blocksize)]; instead of `quant_state`, and then with `out`.
        out: A tensor to write to; without a state, shape and dtype of the result are its own.
        blocksize: Elements per block. Default: 64.
        quant_type: "nf4" or "fp4". Default: "fp4".

    Returns:
        A tensor of the state's shape and dtype. Does not synchronise.

    Raises:
        TypeError: Not a tensor.
        ValueError: Not on mps; neither a state nor absmax and out; parts that do not fit.

    Accuracy:
        The bits of bitsandbytes.

    Source:
        `bitsandbytes.functional.dequantize_4bit`.

    Example:
        >>> import paddle
        >>> import paddle_mps.functional as F
        >>> packed, state = F.quantize_fp4(paddle.to_tensor([[3.0], [1.5]]))
        >>> F.dequantize_4bit(packed, state).tolist()
        [[3.0], [1.5]]
    """
    op = "dequantize_4bit"
    codes = as_bytes(op, A)
    if quant_state is None:
        if absmax is None or out is None:
            raise ValueError(
                f"[{op}] no scales: expected quant_state, or absmax and out, got neither. Pass the "
                "state that quantize_4bit returned."
            )
        blocksize = 64 if blocksize is None else blocksize
        _check_4bit(op, blocksize, quant_type)
        numbers = code_books.on_device(quant_type, tensor_device(op, codes))[0]
        quant_state = QuantState(absmax, out.shape, numbers, blocksize, quant_type, out.dtype)
    return _result(_dequantize(codes, quant_state, quant_state.dtype), out)


def dequantize_nf4(
    A: Tensor,  # noqa: N803
    quant_state: QuantState | None = None,
    absmax: Tensor | None = None,
    out: Tensor | None = None,
    blocksize: int | None = None,
) -> Tensor:
    """Return the numbers of an NF4 tensor: `dequantize_4bit` with quant_type="nf4".

    Args:
        A: As there.
        quant_state: As there.
        absmax: As there.
        out: As there.
        blocksize: As there.

    Returns:
        As there. Does not synchronise.

    Raises:
        ValueError: As there.

    Source:
        `bitsandbytes.functional.dequantize_nf4`.

    Example:
        >>> import paddle
        >>> import paddle_mps.functional as F
        >>> F.dequantize_nf4(*F.quantize_nf4(paddle.ones([2]))).tolist()
        [1.0, 1.0]
    """
    return dequantize_4bit(A, quant_state, absmax, out, blocksize, "nf4")


def dequantize_fp4(
    A: Tensor,  # noqa: N803
    quant_state: QuantState | None = None,
    absmax: Tensor | None = None,
    out: Tensor | None = None,
    blocksize: int | None = None,
) -> Tensor:
    """Return the numbers of an FP4 tensor: `dequantize_4bit` with quant_type="fp4".

    Args:
        A: As there.
        quant_state: As there.
        absmax: As there.
        out: As there.
        blocksize: As there.

    Returns:
        As there. Does not synchronise.

    Raises:
        ValueError: As there.

    Source:
        `bitsandbytes.functional.dequantize_fp4`.

    Example:
        >>> import paddle
        >>> import paddle_mps.functional as F
        >>> F.dequantize_fp4(*F.quantize_fp4(paddle.ones([2]))).tolist()
        [1.0, 1.0]
    """
    return dequantize_4bit(A, quant_state, absmax, out, blocksize, "fp4")
