"""Ternary weights in the bytes of Microsoft's BitNet: I2_S, and the int2 of its GPU kernel.

The layout of Hugging Face, which the products here read, is in bitnet.py. These convert from and to
files, on the host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from paddle import Tensor

# Where the element of a block lies: x86 files have blocks of 128, ARM ones of 64.
_BLOCKS = {"x86": 128, "arm": 64}
# Order of the sixteen elements of a word of the GPU layout.
_WORD = (0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)


def _ternary(op: str, weight: Any) -> npt.NDArray[np.int8]:
    import numpy as np

    w = np.asarray(weight.numpy() if hasattr(weight, "numpy") else weight)
    if w.ndim != 2 or w.dtype != np.int8 or not np.isin(w, (-1, 0, 1)).all():
        raise ValueError(
            f"[{op}] not a ternary matrix: expected int8 [N, K] of -1, 0 and 1, got {w.dtype} "
            f"{list(w.shape)}. See ternary_quantize."
        )
    return w


def _check_order(op: str, order: str) -> int:
    if order not in _BLOCKS:
        raise ValueError(f'[{op}] bad order: expected "x86" or "arm", got {order!r}. Take "x86".')
    return _BLOCKS[order]


def pack_i2_s(weight: Tensor, scale: float, order: str = "x86") -> bytes:
    """Pack a matrix of -1, 0 and 1 into the bytes of an I2_S tensor of BitNet's files.

    Elements are counted flat, in blocks of 128 (x86) or 64 (arm). A block is four groups: byte j
    holds w + 1 of element j of each group, the first one in its upper two bits. A float32 scale
    follows, which the product is multiplied by (the inverse of `ternary_quantize`'s), and zeros up
    to 32 bytes.

    Args:
        weight: int8 [N, K], whose elements fill blocks.
        scale: mean|W|.
        order: "x86", which Microsoft's converter writes on any machine, or "arm". Default: "x86".

    Returns:
        N K / 4 + 32 bytes. Synchronises.

    Raises:
        ValueError: Not ternary; blocks that are not full; another order.

    Accuracy:
        Exact.

    Source:
        microsoft/BitNet, `quantize_i2_s` of src/ggml-bitnet-mad.cpp.

    Example:
        >>> import paddle
        >>> import paddle_mps.functional as F
        >>> data = F.pack_i2_s(paddle.ones([2, 64], dtype="int8"), 0.5)
        >>> len(data), data[0]
        (64, 170)
    """
    import numpy as np

    op = "pack_i2_s"
    block, w = _check_order(op, order), _ternary(op, weight)
    if w.size % block != 0:
        raise ValueError(
            f"[{op}] blocks are not full: expected a multiple of {block} elements, got {w.size}. "
            "Pad the weight."
        )
    groups = (w.reshape(-1, 4, block // 4) + 1).astype(np.uint8)
    packed = groups[:, 0] << 6 | groups[:, 1] << 4 | groups[:, 2] << 2 | groups[:, 3]
    return packed.tobytes() + np.float32(scale).tobytes() + bytes(28)


def unpack_i2_s(data: bytes, rows: int, columns: int, order: str = "x86") -> tuple[Tensor, float]:
    """Return the matrix and the scale of an I2_S tensor.

    Args:
        data: Its bytes.
        rows: N.
        columns: K.
        order: "x86" or "arm": the bytes do not tell. Default: "x86".

    Returns:
        int8 [N, K] on the current device, and the scale that a product is multiplied by. Does not
        synchronise.

    Raises:
        ValueError: Too few bytes; a code that stands for nothing; another order.

    Accuracy:
        Exact.

    Source:
        microsoft/BitNet, src/ggml-bitnet-mad.cpp.

    Example:
        >>> import paddle
        >>> import paddle_mps.functional as F
        >>> w = paddle.to_tensor([[1, 0, -1, 0] * 32], dtype="int8")
        >>> back, scale = F.unpack_i2_s(F.pack_i2_s(w, 0.5), 1, 128)
        >>> bool((back == w).all()), scale
        (True, 0.5)
    """
    import numpy as np
    import paddle

    op = "unpack_i2_s"
    block, count = _check_order(op, order), rows * columns
    if len(data) < count // 4 + 4 or count % block != 0:
        raise ValueError(
            f"[{op}] the bytes do not fit: expected {count // 4} and a scale for [{rows}, "
            f"{columns}] in blocks of {block}, got {len(data)}. Correct the shape or the order."
        )
    packed = np.frombuffer(data, np.uint8, count // 4).reshape(-1, 1, block // 4)
    codes = packed >> np.array([6, 4, 2, 0], np.uint8).reshape(1, 4, 1) & 3
    if (codes == 3).any():
        raise ValueError(
            f"[{op}] damaged bytes: expected codes 0, 1 and 2, got 3. Load the file again."
        )
    w = codes.astype(np.int8).reshape(rows, columns) - np.int8(1)
    scale = float(np.frombuffer(data, np.float32, 1, count // 4)[0])
    return paddle.to_tensor(w), scale


def _tiles(rows: int, columns: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return row and column of every element, in order."""
    import numpy as np

    word, place = np.divmod(np.arange(512), 16)
    row = word // 16 * 8 + word % 8
    column = 16 * (word % 16 // 8) + np.array(_WORD)[place]
    first = np.indices((rows // 16, columns // 32)).reshape(2, -1, 1) * np.array([[[16]], [[32]]])
    return (first[0] + row).reshape(-1), (first[1] + column).reshape(-1)


def pack_int2(weight: Tensor) -> Tensor:
    """Pack a matrix of -1, 0 and 1 into the int2 layout of BitNet's GPU kernel.

    Tiles of 16 x 32 lie one after the other, row by row of tiles. A tile is 32 words of 32 bits, of
    sixteen elements each, w + 2 in two bits, in the order in which that kernel unpacks them.

    Args:
        weight: int8 [N, K]; N is a multiple of 16 and K of 32.

    Returns:
        int8 [N, K / 4] on the current device. Synchronises.

    Raises:
        ValueError: Not ternary; sizes that do not fit.

    Accuracy:
        Exact.

    Source:
        microsoft/BitNet, gpu/pack_weight.py.

    Example:
        >>> import paddle
        >>> import paddle_mps.functional as F
        >>> F.pack_int2(paddle.zeros([16, 32], dtype="int8"))[0].tolist()
        [-86, -86, -86, -86, -86, -86, -86, -86]
    """
    import numpy as np
    import paddle

    op = "pack_int2"
    w = _ternary(op, weight)
    rows, columns = w.shape
    if rows % 16 != 0 or columns % 32 != 0:
        raise ValueError(
            f"[{op}] bad shape: expected [16 n, 32 k], got {[rows, columns]}. Pad the weight."
        )
    codes = (w[_tiles(rows, columns)] + 2).astype(np.uint8).reshape(-1, 4)
    packed = codes[:, 0] | codes[:, 1] << 2 | codes[:, 2] << 4 | codes[:, 3] << 6
    return paddle.to_tensor(packed.view(np.int8).reshape(rows, columns // 4))


def unpack_int2(packed: Tensor) -> Tensor:
    """Return the matrix that `pack_int2` packed.

    Args:
        packed: int8 [N, K / 4].

    Returns:
        int8 [N, K] on the current device. Synchronises.

    Raises:
        ValueError: No int8, or sizes that do not fit.

    Accuracy:
        Exact.

    Source:
        microsoft/BitNet, gpu/pack_weight.py.

    Example:
        >>> import paddle
        >>> import paddle_mps.functional as F
        >>> w = F.pack_int2(paddle.ones([16, 32], dtype="int8"))
        >>> bool((F.unpack_int2(w) == 1).all())
        True
    """
    import numpy as np
    import paddle

    data = np.asarray(packed.numpy() if hasattr(packed, "numpy") else packed)
    rows, quarter = data.shape if data.ndim == 2 else (1, 1)
    if data.dtype != np.int8 or rows % 16 != 0 or quarter % 8 != 0:
        raise ValueError(
            f"[unpack_int2] bad bytes: expected int8 [16 n, 8 k], got {data.dtype} "
            f"{list(data.shape)}. Pass what pack_int2 returned."
        )
    shifts = np.array([0, 2, 4, 6], np.uint8)
    codes = (data.view(np.uint8).reshape(-1, 1) >> shifts & 3).reshape(-1).astype(np.int8)
    w = np.empty((rows, 4 * quarter), np.int8)
    w[_tiles(rows, 4 * quarter)] = codes - np.int8(2)
    return paddle.to_tensor(w)
