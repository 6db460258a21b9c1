"""What ran where, which graphs were compiled, and the last error of the runtime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import _library
from ._index import device_index

if TYPE_CHECKING:
    from ._index import DeviceLike


@dataclass(frozen=True)
class OpCalls:
    """How often one op ran with one dtype.

    Attributes:
        op: The name of Paddle's kernel, "matmul" for example, or of an op of this package's own,
            "matmul_4bit" for example.
        dtype: The dtype of the kernel, in most cases that of the first input.
        mps_calls: Calls that ran on the device.
        cpu_calls: Calls that Paddle ran on the CPU because the device has no kernel for them.
    """

    op: str
    dtype: str
    mps_calls: int = 0
    cpu_calls: int = 0


@dataclass(frozen=True)
class FallbackReport:
    """Counts of ops; `print` it for a table.

    Attributes:
        rows: One per op and dtype that ran, those with most CPU calls first.
        problem: Why calls that ran on the CPU are not counted; empty if they are.
    """

    rows: tuple[OpCalls, ...]
    problem: str = ""

    @property
    def fell_back(self) -> tuple[OpCalls, ...]:
        """The rows with calls that ran on the CPU."""
        return tuple(row for row in self.rows if row.cpu_calls)

    @property
    def mps_calls(self) -> int:
        """All calls that ran on the device."""
        return sum(row.mps_calls for row in self.rows)

    @property
    def cpu_calls(self) -> int:
        """All calls that ran on the CPU."""
        return sum(row.cpu_calls for row in self.rows)

    def row(self, op: str, dtype: str) -> OpCalls:
        """Return the row of an op and dtype; one of zeros if it did not run."""
        return next(
            (row for row in self.rows if (row.op, row.dtype) == (op, dtype)), OpCalls(op, dtype)
        )

    def __str__(self) -> str:
        """Return the table, the ops that fell back first."""
        table = [("op", "dtype", "mps calls", "cpu calls")]
        table += [
            (row.op, row.dtype, f"{row.mps_calls:,}", f"{row.cpu_calls:,}") for row in self.rows
        ]
        table += [("total", "", f"{self.mps_calls:,}", f"{self.cpu_calls:,}")]
        widths = [max(len(line[column]) for line in table) for column in range(4)]
        op, dtype, mps, cpu = widths
        lines = [
            f"{line[0]:<{op}}  {line[1]:<{dtype}}  {line[2]:>{mps}}  {line[3]:>{cpu}}"
            for line in table
        ]
        if self.problem:
            lines.append(f"Calls that ran on the CPU are not counted: {self.problem}")
        return "\n".join(lines)


def fallback_report() -> FallbackReport:
    """Return how often each op ran on the device and on the CPU, since the start or the last reset.

    Paddle runs an op that has no mps kernel for its dtype on the CPU, with a copy each way. The
    answer is right but the call takes about a hundred times as long, and Paddle says nothing; here
    it shows. Counts are of the whole process, all devices together. Ops of static graphs
    (`paddle.static`, `to_static`) that ran on the CPU are not seen, since Paddle places those
    without asking. Views (reshape, transpose, slice) run no kernel and are in no row.

    Returns:
        The counts. Neither synchronises nor allocates on a device.

    Raises:
        RuntimeError: There is no mps device.

    Example:
        >>> import paddle, paddle_mps
        >>> paddle_mps.reset_fallback_report()
        >>> x = paddle.ones([2], dtype="float32")
        >>> y = x + x
        >>> report = paddle_mps.fallback_report()
        >>> report.row("add", "float32")
        OpCalls(op='add', dtype='float32', mps_calls=1, cpu_calls=0)
        >>> report.fell_back
        ()
    """
    extension = _library.require("fallback_report")
    counts: dict[tuple[str, str], list[int]] = {}
    for op, dtype, where, calls in extension.ops():
        counts.setdefault((op, dtype), [0, 0])[where] += calls
    rows = [OpCalls(op, dtype, mps, cpu) for (op, dtype), (mps, cpu) in counts.items()]
    rows.sort(key=lambda row: (-row.cpu_calls, -row.mps_calls, row.op, row.dtype))
    return FallbackReport(tuple(rows), extension.fallback_tracking_problem())


def reset_fallback_report() -> None:
    """Set every count of `fallback_report` to zero.

    Neither synchronises nor allocates on a device. The warning that an op runs on the CPU is still
    given once per process.

    Raises:
        RuntimeError: There is no mps device.

    Example:
        >>> import paddle_mps
        >>> paddle_mps.reset_fallback_report()
        >>> paddle_mps.fallback_report().rows
        ()
    """
    _library.require("reset_fallback_report").reset_ops()


@dataclass(frozen=True)
class GraphCacheInfo:
    """What the cache of compiled graphs did and holds.

    Attributes:
        hits: Launches that found their graph compiled.
        misses: Launches that had to compile it.
        evictions: Graphs dropped to stay within the bounds.
        entries: Graphs held now.
        bytes: Bytes that they take.
        max_entries: Bound on the number (PADDLE_MPS_CACHE_ENTRIES).
        max_bytes: Bound on the bytes (PADDLE_MPS_CACHE_BYTES).
        folder: Where compiled graphs are kept between runs (Metal from macOS 14 on,
            PADDLE_MPS_GRAPH_FOLDER); empty if they are not.
    """

    hits: int
    misses: int
    evictions: int
    entries: int
    bytes: int
    max_entries: int
    max_bytes: int
    folder: str


def graph_cache_info(device: DeviceLike = None) -> GraphCacheInfo:
    """Return the counters of a device's cache of compiled graphs.

    Each op is a graph, compiled when it first comes with these shapes and dtypes and found again
    afterwards. Misses that keep growing mean shapes that keep changing.

    Args:
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Returns:
        The counters since the start. Neither synchronises nor allocates.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.

    Example:
        >>> import paddle, paddle_mps
        >>> x = paddle.ones([3, 5])
        >>> y = x * x
        >>> before = paddle_mps.graph_cache_info()
        >>> y = x * x
        >>> paddle_mps.graph_cache_info().misses == before.misses
        True
    """
    index = device_index("graph_cache_info", device)
    extension = _library.require("graph_cache_info")
    return GraphCacheInfo(**extension.cache_info(index), folder=extension.graph_folder(index))


def clear_graph_cache(device: DeviceLike = None, *, kept: bool = False) -> None:
    """Forget every compiled graph of a device; each is compiled again at its next use.

    Counters keep their values. Work in flight keeps its graphs until it is done. Neither
    synchronises nor allocates.

    Args:
        device: An index, "mps", "mps:N" or a place. Default: the current device.
        kept: Remove those as well that are kept on disk between runs, by any program, in
            `graph_cache_info().folder`. A program that reads one at this moment compiles it.

    Raises:
        RuntimeError: There is no mps device, or the folder cannot be emptied.
        ValueError: This one does not exist.

    Example:
        >>> import paddle_mps
        >>> paddle_mps.clear_graph_cache()
        >>> paddle_mps.graph_cache_info().entries
        0
    """
    index = device_index("clear_graph_cache", device)
    extension = _library.require("clear_graph_cache")
    extension.clear_cache(index)
    if kept:
        extension.clear_graph_folder(index)


def last_error() -> str:
    """Return the message of the last call into the plugin's runtime that failed on this thread.

    Most failures raise an exception with the same text. What fails while Paddle destroys something
    cannot raise: it is printed, and it is here. Errors of ops do not come here.

    Returns:
        The message; an empty string if no call has failed on this thread. Neither synchronises nor
        allocates.

    Raises:
        RuntimeError: There is no mps device.

    Example:
        >>> import paddle_mps
        >>> isinstance(paddle_mps.last_error(), str)
        True
    """
    message: str = _library.require("last_error").last_error()
    return message
