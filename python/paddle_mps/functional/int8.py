"""LLM.int8: rows of int8 with one scale each, and exact products of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._tensor import run_op
from .blocks import dense
from .state import dtype_name

if TYPE_CHECKING:
    from paddle import Tensor


def _check_threshold(op: str, threshold: float) -> float:
    if not threshold >= 0:
        raise ValueError(
            f"[{op}] bad threshold: expected 0 (none) or more, got {threshold}. Take 6.0."
        )
    return float(threshold)


def int8_vectorwise_quant(
    A: Tensor,  # noqa: N803
    threshold: float = 0.0,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Quantise each row to int8.

    stats = max |A| of the row, and q = round(A * (127 / stats)), half to even. Where
    |A| >= threshold, an element is an outlier: it does not count for its row, and its whole column
    of q is 0.

    Args:
        A: [.., K], float32, float16 or bfloat16, on mps.
        threshold: Of outliers; 0 for none. Default: 0.

    Returns:
        q, int8 [.., K]; stats, float32 [rows]; and the columns with outliers, int64 and rising,
        None if the threshold is 0. Synchronises if it is not. A row of zeros, and one with NaN or
        infinity, gives zeros.

    Raises:
        TypeError: Not a tensor.
        ValueError: A is of another dtype or on another device; a bad threshold.

    Accuracy:
        One code on 1 in 1,000 elements, against bitsandbytes.

    Source:
        Dettmers, Lewis, Belkada and Zettlemoyer, "LLM.int8(): 8-bit matrix multiplication for
        transformers at scale", 2022; `bitsandbytes.functional.int8_vectorwise_quant`.

    Example:
        >>> import paddle
        >>> import paddle_mps.functional as F
        >>> q, stats, _ = F.int8_vectorwise_quant(paddle.to_tensor([[1.0, -2.0], [0.5, 0.25]]))
        >>> q.tolist(), stats.tolist()
        ([[64, -127], [127, 64]], [2.0, 0.5])
    """
    op = "int8_vectorwise_quant"
    x = dense(op, A)
    q, stats, outliers = run_op("mps_int8_quantize", x, 1, _check_threshold(op, threshold))
    return q, stats, outliers.nonzero().flatten() if threshold > 0 else None


def int8_vectorwise_dequant(A: Tensor, stats: Tensor) -> Tensor:  # noqa: N803
    """Return q * stats / 127 for rows of int8.

    Args:
        A: int8 [.., K], on mps.
        stats: float32 [rows].

    Returns:
        float32 [.., K]. Does not synchronise.

    Raises:
        TypeError: Not a tensor.
        ValueError: A is no int8 or not on mps; stats that do not fit.

    Accuracy:
        The bits of bitsandbytes: (q * stats) * 0x1.020408p-7 in float32.

    Source:
        `bitsandbytes.functional.int8_vectorwise_dequant`.

    Example:
        >>> import paddle
        >>> import paddle_mps.functional as F
        >>> q = paddle.to_tensor([[127, 0]], dtype="int8")
        >>> F.int8_vectorwise_dequant(q, paddle.to_tensor([2.0])).tolist()
        [[2.0, 0.0]]
    """
    op = "int8_vectorwise_dequant"
    q = dense(op, A, ("int8",))
    rows = q.size // q.shape[-1] if q.size else 0
    if stats.size != rows:
        raise ValueError(
            f"[{op}] stats do not fit: expected {rows} of them, one per row, got {stats.size}. "
            "Pass what int8_vectorwise_quant returned."
        )
    scale = stats.reshape([*q.shape[:-1], 1])
    result: Tensor = q.astype("float32") * scale * float.fromhex("0x1.020408p-7")
    return result


def int8_double_quant(
    A: Tensor,  # noqa: N803
    threshold: float = 0.0,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
    """Quantise a matrix to int8 twice: by rows and by columns.

    Args:
        A: [.., K], float32, float16 or bfloat16, on mps.
        threshold: Of outliers, as in `int8_vectorwise_quant`. Default: 0.

    Returns:
        q by rows and q by columns, int8 [.., K]; the row stats, float32 [rows]; the column stats,
        float32 [K]; and the columns with outliers, None if the threshold is 0. Synchronises if it
        is not.

    Raises:
        TypeError: Not a tensor.
        ValueError: A is of another dtype or on another device; a bad threshold.

    Accuracy:
        Of the rows that of `int8_vectorwise_quant`. Columns are rint(round(127 x) / stats), with
        127 x rounded to A's dtype; there only an outlier itself becomes 0, not its column.

    Source:
        `bitsandbytes.functional.int8_double_quant`, which only its CUDA backend has.

    Example:
        >>> import paddle
        >>> import paddle_mps.functional as F
        >>> rows, columns, *_ = F.int8_double_quant(paddle.to_tensor([[1.0, 2.0], [4.0, 1.0]]))
        >>> rows.tolist(), columns.tolist()
        ([[64, 127], [127, 32]], [[32, 127], [127, 64]])
    """
    op = "int8_double_quant"
    x = dense(op, A)
    limit = _check_threshold(op, threshold)
    by_row, row_stats, outliers = run_op("mps_int8_quantize", x, 1, limit)
    by_column, column_stats, _ = run_op("mps_int8_quantize", x, 0, limit)
    found = outliers.nonzero().flatten() if threshold > 0 else None
    return by_row, by_column, row_stats, column_stats, found


def int8_linear_matmul(
    A: Tensor,  # noqa: N803
    B: Tensor,  # noqa: N803
    out: Tensor | None = None,
    dtype: Any = "int32",
) -> Tensor:
    """Return A @ B^T of int8 matrices, exactly.

    Args:
        A: int8 [.., K], on mps; K up to 131,071, so that int32 holds every sum.
        B: int8 [N, K].
        out: A tensor to write to. Default: a new one.
        dtype: int32, the only one.

    Returns:
        int32 [.., N]. Does not synchronise.

    Raises:
        TypeError: Not a tensor.
        ValueError: Other dtypes or devices, shapes that do not fit, another result dtype.

    Accuracy:
        Exact. (bitsandbytes multiplies in float32 where it has no kernel.)

    Source:
        `bitsandbytes.functional.int8_linear_matmul`.

    Example:
        >>> import paddle
        >>> import paddle_mps.functional as F
        >>> x = paddle.full([1, 2000], 127, dtype="int8")
        >>> F.int8_linear_matmul(x, x).item()
        32258000
    """
    op = "int8_linear_matmul"
    x, y = dense(op, A, ("int8",)), dense(op, B, ("int8",))
    if dtype_name(dtype) != "int32":
        raise ValueError(f"[{op}] bad dtype: expected int32, got {dtype}. Cast the result.")
    result = run_op("mps_int8_matmul", x, y)[0]
    if out is None:
        return result
    import paddle

    paddle.assign(result, output=out)
    return out


def int8_mm_dequant(
    A: Tensor,  # noqa: N803
    row_stats: Tensor,
    col_stats: Tensor,
    out: Tensor | None = None,
    bias: Tensor | None = None,
    dtype: Any = None,
) -> Tensor:
    """Return what a product of int8 matrices stands for: A * row_stats * col_stats / 127^2 + bias.

    Args:
        A: int32 [.., N], on mps.
        row_stats: float32 [rows].
        col_stats: float32 [N].
        out: A tensor to write to. Default: a new one.
        bias: [N], of any float dtype. Default: none.
        dtype: Of the result. Default: float16.

    Returns:
        [.., N]. Does not synchronise.

    Raises:
        TypeError: Not a tensor.
        ValueError: Other dtypes or devices, stats that do not fit.

    Accuracy:
        3 ULP of float32, then one rounding. (bitsandbytes' torch code multiplies by a constant that
        is 1.8e-5 off.)

    Source:
        `bitsandbytes.functional.int8_mm_dequant`.

    Example:
        >>> import paddle
        >>> import paddle_mps.functional as F
        >>> sums = paddle.to_tensor([[127 * 127]], dtype="int32")
        >>> one = paddle.ones([1])
        >>> F.int8_mm_dequant(sums, one, one, dtype="float32").item()
        1.0
    """
    import paddle

    op = "int8_mm_dequant"
    sums = dense(op, A, ("int32",))
    rows = sums.size // sums.shape[-1] if sums.size else 0
    if row_stats.size != rows or col_stats.size != sums.shape[-1]:
        raise ValueError(
            f"[{op}] stats do not fit: expected {rows} row and {sums.shape[-1]} column stats, got "
            f"{row_stats.size} and {col_stats.size}. Pass those of the two matrices."
        )
    number = getattr(paddle, dtype_name(dtype or "float16")).value
    row_stats, col_stats = dense(op, row_stats, ("float32",)), dense(op, col_stats, ("float32",))
    result = run_op("mps_int8_mm_dequant", sums, row_stats, col_stats, bias, number)[0]
    if out is None:
        return result
    paddle.assign(result, output=out)
    return out


def int8_scaled_mm(
    A: Tensor,  # noqa: N803
    B: Tensor,  # noqa: N803
    row_stats: Tensor,
    col_stats: Tensor,
    bias: Tensor | None = None,
    out: Tensor | None = None,
    dtype: Any = None,
) -> Tensor:
    """Return the product of two int8 matrices as the numbers it stands for.

    Args:
        A: int8 [.., K], on mps.
        B: int8 [N, K].
        row_stats: float32 [rows], of A.
        col_stats: float32 [N], of B.
        bias: [N]. Default: none.
        out: A tensor to write to. Default: a new one.
        dtype: Of the result. Default: float16.

    Returns:
        [.., N]. Does not synchronise.

    Raises:
        ValueError: What `int8_linear_matmul` and `int8_mm_dequant` refuse.

    Accuracy:
        That of `int8_mm_dequant`.

    Source:
        The op `bitsandbytes::int8_scaled_mm`.

    Example:
        >>> import paddle
        >>> import paddle_mps.functional as F
        >>> q, stats, _ = F.int8_vectorwise_quant(paddle.ones([2, 8]))
        >>> F.int8_scaled_mm(q, q, stats, stats).tolist()
        [[8.0, 8.0], [8.0, 8.0]]
    """
    return int8_mm_dequant(int8_linear_matmul(A, B), row_stats, col_stats, out, bias, dtype)


def int8_linear(
    x: Tensor, weight: Tensor, weight_stats: Tensor, bias: Tensor | None = None
) -> Tensor:
    """Return x @ W^T + bias with x and W in int8, in one graph: quantise, multiply, rescale.

    Args:
        x: [.., K], float32, float16 or bfloat16, on mps; quantised row by row.
        weight: int8 [N, K], from `int8_vectorwise_quant`.
        weight_stats: float32 [N], from there too.
        bias: [N], of any float dtype. Default: none.

    Returns:
        [.., N], of x's dtype. Does not synchronise; has no gradient.

    Raises:
        TypeError: Not a tensor.
        ValueError: Dtypes, devices or shapes that do not fit.

    Accuracy:
        The product of what is quantised is exact; the rest is that of `int8_mm_dequant`.

    Source:
        Dettmers, Lewis, Belkada and Zettlemoyer, 2022, without outliers.

    Example:
        >>> import paddle
        >>> import paddle_mps.functional as F
        >>> w, stats, _ = F.int8_vectorwise_quant(paddle.eye(4))
        >>> F.int8_linear(paddle.ones([1, 4]), w, stats).tolist()
        [[1.0, 1.0, 1.0, 1.0]]
    """
    op = "int8_linear"
    q, stats = dense(op, weight, ("int8",)), dense(op, weight_stats, ("float32",))
    if q.ndim != 2 or stats.size != q.shape[0]:
        raise ValueError(
            f"[{op}] weight_stats do not fit: expected an int8 [N, K] and N stats, got {q.shape} "
            f"and {stats.size}. Pass what int8_vectorwise_quant returned."
        )
    return run_op("mps_int8_linear", dense(op, x), q, stats, bias)[0]


def int8_mixed_scaled_mm(
    A: Tensor,  # noqa: N803
    CA: Tensor,  # noqa: N803
    CB: Tensor,  # noqa: N803
    SCA: Tensor,  # noqa: N803
    SCB: Tensor,  # noqa: N803
    outlier_cols: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """Return an int8 product to which the columns with outliers are added in full precision.

    Args:
        A: [.., K], float32, float16 or bfloat16, on mps: what CA was made of.
        CA: int8 [.., K], with zeros in the outlier columns.
        CB: int8 [N, K].
        SCA: float32 [rows].
        SCB: float32 [N].
        outlier_cols: int64, from `int8_vectorwise_quant`. Default: none.
        bias: [N]. Default: none.

    Returns:
        [.., N], of A's dtype. Does not synchronise.

    Raises:
        ValueError: What `int8_scaled_mm` refuses.

    Accuracy:
        That of `int8_mm_dequant`, and of a product in A's dtype for the outliers.

    Source:
        Dettmers, Lewis, Belkada and Zettlemoyer, 2022; the op
        `bitsandbytes::int8_mixed_scaled_mm`.

    Example:
        >>> import paddle
        >>> import paddle_mps.functional as F
        >>> x = paddle.to_tensor([[1.0, 100.0], [0.5, 0.0]])
        >>> w, stats, _ = F.int8_vectorwise_quant(paddle.eye(2))
        >>> q, rows, columns = F.int8_vectorwise_quant(x, threshold=6.0)
        >>> F.int8_mixed_scaled_mm(x, q, w, rows, stats, columns).tolist()
        [[1.0, 100.0], [0.5, 0.0]]
    """
    import paddle

    op = "int8_mixed_scaled_mm"
    x = dense(op, A)
    result = int8_scaled_mm(CA, CB, SCA, SCB, bias, dtype=x.dtype)
    if outlier_cols is None or outlier_cols.size == 0:
        return result
    some = x.index_select(outlier_cols, axis=-1)
    columns = paddle.gather(dense(op, CB, ("int8",)), outlier_cols, axis=1)
    weight = int8_vectorwise_dequant(columns, SCB).astype(x.dtype)
    total: Tensor = result + some.matmul(weight, transpose_y=True)
    return total
