"""Products with matrices of 4 bits, which are not dequantised as a whole."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from .._tensor import run_op
from .blocks import as_bytes, dense, nested_arguments
from .state import QuantState, dtype_name

if TYPE_CHECKING:
    from paddle import Tensor


def _run(
    x: Tensor, codes: Tensor, state: QuantState, bias: Tensor | None, transposed: bool
) -> Tensor:
    rows, columns = state.shape or (0, 0)
    nested_blocksize = state.state2.blocksize if state.state2 is not None else 1
    arguments = (*nested_arguments(state), bias, state.blocksize, nested_blocksize, rows, columns)
    return run_op(
        "mps_quantized_matmul", x, codes, state.absmax, state.code, *arguments, int(transposed)
    )[0]


@functools.cache
def _layer() -> Any:
    import paddle
    from paddle.autograd import PyLayer

    class Matmul4Bit(PyLayer):  # type: ignore[misc]
        """y = x @ W^T + bias; the gradient of x is dy @ W, and W has none."""

        @staticmethod
        def forward(
            ctx: Any, x: Tensor, bias: Tensor | None, codes: Tensor, state: QuantState
        ) -> Any:
            ctx.codes, ctx.state, ctx.bias_shape = codes, state, None
            ctx.needs_x = not x.stop_gradient
            if bias is not None and not bias.stop_gradient:
                ctx.bias_shape = bias.shape
            ctx.has_bias = bias is not None
            return _run(x, codes, state, bias, transposed=True)

        @staticmethod
        def backward(ctx: Any, dy: Tensor) -> Any:
            dx = None
            if ctx.needs_x:
                dx = _run(dy.contiguous(), ctx.codes, ctx.state, None, transposed=False)
            if not ctx.has_bias:
                return dx
            dbias = None
            if ctx.bias_shape is not None:
                dbias = paddle.sum(dy.reshape([-1, dy.shape[-1]]), axis=0)
            return dx, dbias

    return Matmul4Bit


def _check(op: str, x: Tensor, state: QuantState, bias: Tensor | None) -> None:
    shape = state.shape or []
    if len(shape) != 2 or not x.shape or x.shape[-1] != shape[1]:
        raise ValueError(
            f"[{op}] inner dimensions differ: expected A [.., K] and a state of shape [N, K], got "
            f"{x.shape} and {state.shape}. Pass the weight that belongs to A."
        )
    if bias is not None and (
        bias.shape != [shape[0]] or dtype_name(bias.dtype) != dtype_name(x.dtype)
    ):
        raise ValueError(
            f"[{op}] bad bias: expected {dtype_name(x.dtype)} [{shape[0]}], got "
            f"{dtype_name(bias.dtype)} {bias.shape}. Cast or reshape it."
        )


def matmul_4bit(
    A: Tensor,  # noqa: N803
    B: Tensor,  # noqa: N803
    quant_state: QuantState,
    out: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """Return A @ W^T + bias, for a weight W quantised to 4 bits.

    What is dequantised stays float32, and so do the sums; they are rounded once, and once more when
    the bias is added. On the host device up to 96 rows of A are multiplied with what is dequantised
    in registers, more of them with one panel of W after the other. On Metal it is a composition: W
    is dequantised in the graph. A compressed absmax is restored in the same graph.

    Args:
        A: [.., K], float32, float16 or bfloat16, on mps.
        B: The packed bytes of W, as `quantize_4bit` gave them, or their transpose.
        quant_state: Of W [N, K].
        out: A tensor to write to. Default: a new one.
        bias: [N], of A's dtype. Default: none.

    Returns:
        [.., N], of A's dtype. Does not synchronise. Gradients flow to A and to the bias, not to W.

    Raises:
        TypeError: Not a tensor.
        ValueError: Dtypes, devices or shapes that do not fit.

    Accuracy:
        Relative to the greatest result: float32 1e-6, float16 1e-3, bfloat16 8e-3.

    Source:
        `bitsandbytes.matmul_4bit`, whose weight comes as `weight.t()`.

    Example:
        >>> import paddle
        >>> import paddle_mps.functional as F
        >>> packed, state = F.quantize_nf4(paddle.eye(64))
        >>> x = paddle.arange(128, dtype="float32").reshape([2, 64])
        >>> bool(paddle.allclose(F.matmul_4bit(x, packed, state), x))
        True
    """
    op = "matmul_4bit"
    x, codes = dense(op, A), as_bytes(op, B)
    _check(op, x, quant_state, bias)
    needs_gradient = not x.stop_gradient or (bias is not None and not bias.stop_gradient)
    if needs_gradient:
        result: Tensor = _layer().apply(x, bias, codes, quant_state)
    else:
        result = _run(x, codes, quant_state, bias, transposed=True)
    if out is None:
        return result
    import paddle

    paddle.assign(result, output=out)
    return out


def gemv_4bit(
    A: Tensor,  # noqa: N803
    B: Tensor,  # noqa: N803
    out: Tensor | None = None,
    transposed_A: bool = False,  # noqa: N803
    transposed_B: bool = False,  # noqa: N803
    state: QuantState | None = None,
) -> Tensor:
    """Return A @ W^T for one row A and a weight W quantised to 4 bits, without gradients.

    Args:
        A: [.., K] with one row, float32, float16 or bfloat16, on mps.
        B: The packed bytes of W.
        out: A tensor to write to. Default: a new one.
        transposed_A: Must be False; bitsandbytes does not look at it.
        transposed_B: Whether B is the transpose of the packed bytes, which makes no difference.
        state: Of W [N, K].

    Returns:
        [.., N], of A's dtype. Does not synchronise.

    Raises:
        TypeError: Not a tensor.
        ValueError: No state; more than one row; what `matmul_4bit` refuses.

    Accuracy:
        That of `matmul_4bit`.

    Source:
        `bitsandbytes.functional.gemv_4bit`.

    Example:
        >>> import paddle
        >>> import paddle_mps.functional as F
        >>> packed, state = F.quantize_nf4(paddle.eye(64))
        >>> F.gemv_4bit(paddle.ones([1, 64]), packed, state=state).sum().item()
        64.0
    """
    op = "gemv_4bit"
    x = dense(op, A)
    if state is None or transposed_A or not x.shape or x.size != x.shape[-1]:
        raise ValueError(
            f"[{op}] bad arguments: expected one row A [.., K], not transposed, and the state "
            f"of B, got {x.shape} and {state}. For more rows see matmul_4bit."
        )
    return matmul_4bit(x.detach(), B, state, out)
