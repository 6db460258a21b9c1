"""BitNet b1.58: weights of -1, 0 and 1, activations of int8, and the bytes weights are packed into.

Two conventions of scales exist. Here `scale` is 1 / mean|W|, which the product is divided by, as in
transformers' BitLinear; its AutoBitLinear and Microsoft keep mean|W|, which it is multiplied by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._tensor import run_op
from .blocks import dense

if TYPE_CHECKING:
    from paddle import Tensor

_LEAST = 1e-5  # of what is divided by
_MOST_FLOAT16 = 65504.0


def ternary_quantize(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Quantise a weight to -1, 0 and 1, with one scale: absmean.

    scale = 1 / max(mean|W|, 1e-5) and q = clip(round(W * scale), -1, 1), half to even.

    Args:
        weight: Of any shape, float32, float16 or bfloat16, on mps.

    Returns:
        q, int8 of the weight's shape, and the scale, float32 [1]. W is about q / scale. Does not
        synchronise. A weight of zeros gives zeros and the scale 1e5.

    Raises:
        TypeError: Not a tensor.
        ValueError: Of another dtype or on another device.

    Accuracy:
        The scale 1e-6 relative (a mean), and so q, where W * scale is not halfway.

    Source:
        Ma and others, "The era of 1-bit LLMs: all large language models are in 1.58 bits", 2024;
        transformers' `WeightQuant`.

    Example:
        >>> import paddle
        >>> import paddle_mps.functional as F
        >>> q, scale = F.ternary_quantize(paddle.to_tensor([[4.0, -4.0, 0.5, -0.5]]))
        >>> q.tolist(), round(scale.item(), 4)
        ([[1, -1, 0, 0]], 0.4444)
    """
    w = dense("ternary_quantize", weight).astype("float32")
    scale = 1.0 / w.abs().mean().reshape([1]).clip(min=_LEAST)
    return (w * scale).round().clip(-1, 1).astype("int8"), scale


def int8_absmax_quantize(x: Tensor) -> tuple[Tensor, Tensor]:
    """Quantise activations to int8, with one scale per row: absmax.

    scale = 127 / max(max|x|, 1e-5) along the last axis and q = clip(round(x * scale), -128, 127),
    half to even. The scale is 127 times the reciprocal; each step is rounded to x's dtype, and
    float16's are 65504 at most.

    Args:
        x: [.., K], float32, float16 or bfloat16, on mps.

    Returns:
        q, int8 [.., K], and the scales, float32 [.., 1]; x is about q / scale. Does not
        synchronise.

    Raises:
        TypeError: Not a tensor.
        ValueError: Of another dtype or on another device.

    Accuracy:
        The codes of transformers' eager code. Its `ActQuant`, for training, widens x to float32
        first, which moves some codes of shorter dtypes by one; so does `nn.BitLinear` here.

    Source:
        Ma and others, 2024; transformers' `BitLinear.activation_quant`.

    Example:
        >>> import paddle
        >>> import paddle_mps.functional as F
        >>> q, scale = F.int8_absmax_quantize(paddle.to_tensor([[1.0, -0.5]]))
        >>> q.tolist(), scale.tolist()
        ([[127, -64]], [[127.0]])
    """
    import paddle

    x = dense("int8_absmax_quantize", x)
    wide = x.astype("float32")

    def rounded(tensor: Tensor) -> Tensor:
        if x.dtype == paddle.float16:  # the scale of zeros is beyond
            tensor = tensor.clip(max=_MOST_FLOAT16)
        return tensor.astype(x.dtype).astype("float32")

    inverse = rounded(1.0 / wide.abs().max(axis=-1, keepdim=True).clip(min=_LEAST))
    scale = rounded(inverse * 127.0)
    return rounded(wide * scale).round().clip(-128, 127).astype("int8"), scale


def pack_ternary(weight: Tensor) -> Tensor:
    """Pack a matrix of -1, 0 and 1 into two bits each, in the layout of Hugging Face.

    With R = ceil(N / 4), bits 2i and 2i + 1 of byte [r, k] hold w[i * R + r, k] + 1.

    Args:
        weight: int8 [N, K], on mps. What is neither -1, 0 nor 1 is not looked for.

    Returns:
        uint8 [R, K]: an eighth of the bytes of float16. Does not synchronise.

    Raises:
        TypeError: Not a tensor.
        ValueError: No int8, no matrix, or on another device.

    Accuracy:
        Exact.

    Source:
        `transformers.integrations.bitnet.pack_weights`.

    Example:
        >>> import paddle
        >>> import paddle_mps.functional as F
        >>> F.pack_ternary(paddle.to_tensor([[1], [0], [-1], [0]], dtype="int8")).tolist()
        [[70]]
    """
    import paddle

    op = "pack_ternary"
    w = dense(op, weight, ("int8",))
    if w.ndim != 2:
        raise ValueError(f"[{op}] not a matrix: expected [N, K], got {w.shape}. Reshape it.")
    rows, columns = w.shape
    packed_rows = -(-rows // 4)
    codes = w.astype("int32") + 1
    if rows % 4 != 0:
        codes = paddle.concat([codes, paddle.zeros([4 * packed_rows - rows, columns], "int32")])
    quarters = codes.reshape([4, packed_rows, columns])
    packed = quarters[0] + quarters[1] * 4 + quarters[2] * 16 + quarters[3] * 64
    result: Tensor = packed.astype("uint8")
    return result


def unpack_ternary(packed: Tensor, rows: int) -> Tensor:
    """Return the matrix that `pack_ternary` packed.

    Args:
        packed: uint8 [R, K], on mps.
        rows: N, of which R is a quarter, rounded up.

    Returns:
        int8 [N, K]. Does not synchronise.

    Raises:
        TypeError: Not a tensor.
        ValueError: No uint8, no matrix, another device, or rows that do not fit.

    Accuracy:
        Exact.

    Source:
        `transformers.integrations.bitnet.unpack_weights`, which returns 4 R rows.

    Example:
        >>> import paddle
        >>> import paddle_mps.functional as F
        >>> F.unpack_ternary(paddle.to_tensor([[70]], dtype="uint8"), 3).tolist()
        [[1], [0], [-1]]
    """
    import paddle

    op = "unpack_ternary"
    bytes_ = dense(op, packed, ("uint8",))
    _check_rows(op, bytes_, rows)
    wide = bytes_.astype("int32")
    quarters = [wide // 4**i % 4 - 1 for i in range(4)]
    result: Tensor = paddle.concat(quarters)[:rows].astype("int8")
    return result


def _check_rows(op: str, packed: Tensor, rows: int) -> None:
    if packed.ndim != 2 or packed.shape[0] != -(-rows // 4):
        raise ValueError(
            f"[{op}] packed weight does not fit: expected {-(-rows // 4)} rows of bytes for {rows} "
            f"rows, got {packed.shape}. Pass the number of rows that was packed."
        )


def ternary_matmul(x: Tensor, packed: Tensor, rows: int) -> Tensor:
    """Return x @ W^T of int8 activations and a packed weight of -1, 0 and 1, exactly.

    Args:
        x: int8 [.., K], on mps.
        packed: uint8 [R, K], from `pack_ternary`.
        rows: N, of the weight.

    Returns:
        int32 [.., N]. Does not synchronise.

    Raises:
        TypeError: Not a tensor.
        ValueError: Other dtypes or devices, shapes that do not fit.

    Accuracy:
        Exact.

    Source:
        Wang and others, "Bitnet.cpp: efficient edge inference for ternary LLMs", 2024.

    Example:
        >>> import paddle
        >>> import paddle_mps.functional as F
        >>> x = paddle.to_tensor([[3, 5]], dtype="int8")
        >>> w = F.pack_ternary(paddle.to_tensor([[1, -1], [0, 1]], dtype="int8"))
        >>> F.ternary_matmul(x, w, 2).tolist()
        [[-2, 5]]
    """
    op = "ternary_matmul"
    bytes_ = dense(op, packed, ("uint8",))
    _check_rows(op, bytes_, rows)
    return run_op("mps_ternary_matmul", dense(op, x, ("int8",)), bytes_, rows)[0]


def bitnet_linear(
    x: Tensor,
    packed: Tensor,
    scale: Tensor,
    rows: int,
    bias: Tensor | None = None,
    norm: Tensor | None = None,
    epsilon: float = 1e-5,
) -> Tensor:
    """Return a linear layer of BitNet b1.58, in one graph: normalise, quantise, multiply, rescale.

    With norm, x is x / sqrt(mean(x^2) + epsilon) * norm first, rounded to its dtype. Then q and a
    are those of `int8_absmax_quantize`, and the result is (q @ W^T) / (a * scale) + bias.

    Args:
        x: [.., K], float32, float16 or bfloat16, on mps.
        packed: uint8 [R, K], from `pack_ternary`.
        scale: float32 [1], from `ternary_quantize`: what the product is divided by.
        rows: N, of the weight.
        bias: [N]. Default: none.
        norm: [K], the weight of an RMSNorm. Default: none.
        epsilon: Of that. Default: 1e-5.

    Returns:
        [.., N], of x's dtype. Does not synchronise; has no gradient.

    Raises:
        TypeError: Not a tensor.
        ValueError: Other dtypes or devices, shapes that do not fit.

    Accuracy:
        The product of what is quantised is exact; the rest is some ULP of float32, then one
        rounding.

    Source:
        Ma and others, 2024; transformers' `BitLinear`.

    Example:
        >>> import paddle
        >>> import paddle_mps.functional as F
        >>> q, scale = F.ternary_quantize(paddle.eye(4) * 4)
        >>> F.bitnet_linear(paddle.ones([1, 4]), F.pack_ternary(q), scale, 4).tolist()
        [[1.0, 1.0, 1.0, 1.0]]
    """
    op = "bitnet_linear"
    bytes_ = dense(op, packed, ("uint8",))
    _check_rows(op, bytes_, rows)
    return run_op(
        "mps_bitnet_linear", dense(op, x), bytes_, dense(op, scale), norm, bias, rows, epsilon
    )[0]
