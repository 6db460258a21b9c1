"""Reads what other processes show of themselves; see plugin/paddle/monitor_page.h.

A process with the plugin has a small file in <temporary folder>/paddle_mps-<user id>/<process id>,
mapped into its memory, in which it counts. The file says itself where its figures are and what they
are called. It is locked while its process lives. Needs neither Paddle nor a device.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import stat
import struct
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

_MAGIC = b"mpspage\0"
_VERSION = 1
# MonitorHeader, in the byte order and with the alignment of this machine.
_HEADER = struct.Struct("@8sIIqqIIIIII16s16s")
_PATIENCE_S = 1.0  # with a process that was stopped in the middle of a change
_COMMAND_LIMIT_S = 5


@dataclass(frozen=True)
class DeviceReading:
    """The figures of one device.

    Attributes:
        index: The device, from 0.
        name: Its name.
        figures: Those of `memory_stats`, but for what Paddle counts; those of `graph_cache_info`,
            with "graph_cache_" before them; and `launches`, the graphs that were launched.
    """

    index: int
    name: str
    figures: dict[str, int]


@dataclass(frozen=True)
class Reading:
    """What a process showed at one moment.

    Attributes:
        pid: The process.
        command: What it was started with; empty if that cannot be told.
        started: When it opened its devices, in seconds since 1970.
        time: When this was read.
        plugin_version: The plugin's version.
        allocator: PADDLE_MPS_ALLOCATOR: who keeps idle memory.
        consistent: Whether the figures of memory are of one moment. False if the process was
            stopped in the middle of changing them.
        devices: Its devices.
    """

    pid: int
    command: str
    started: float
    time: float
    plugin_version: str
    allocator: str
    consistent: bool
    devices: tuple[DeviceReading, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, with the figures beside the name of each device."""
        data = asdict(self)
        data["devices"] = [
            {"index": device.index, "name": device.name, **device.figures}
            for device in self.devices
        ]
        return data


class NoPageError(LookupError):
    """This process shows nothing; the message says why and what to do."""


class Page:
    """The file of one process, open until `close`."""

    def __init__(self, pid: int) -> None:
        """Open it; raise NoPageError if the process shows nothing."""
        self.pid = pid
        self._file = _open_checked(pid)
        try:
            if not _is_locked(self._file):
                raise NoPageError(_no_such_process(pid))
            if os.fstat(self._file).st_size < _HEADER.size:
                raise NoPageError(_foreign_page(pid, "something else"))
            self._memory = mmap.mmap(self._file, 0, prot=mmap.PROT_READ)
            self._read_header()
        except BaseException:
            os.close(self._file)
            raise
        self.command = _command(pid)

    def __enter__(self) -> Page:
        """Return it, for `with`."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._memory.close()
        os.close(self._file)

    def is_alive(self) -> bool:
        """Say whether the process still lives."""
        return _is_locked(self._file)

    def read(self) -> Reading:
        """Return its figures, all of one moment if the process lets that be."""
        records = [self._record(index) for index in range(self._device_count)]
        return Reading(
            pid=self.pid,
            command=self.command,
            started=self._started,
            time=time.time(),
            plugin_version=self._plugin_version,
            allocator=self._allocator,
            consistent=all(consistent for _, consistent in records),
            devices=tuple(device for device, _ in records),
        )

    def _read_header(self) -> None:
        (
            magic,
            version,
            size,
            _,
            start_ns,
            names_offset,
            names_bytes,
            self._device_count,
            self._device_offset,
            self._device_bytes,
            self._figures_offset,
            allocator,
            plugin_version,
        ) = _HEADER.unpack_from(self._memory)
        if magic != _MAGIC or size > len(self._memory):
            raise NoPageError(_foreign_page(self.pid, "something else"))
        if version != _VERSION:
            raise NoPageError(_foreign_page(self.pid, f"version {version}"))
        names = self._memory[names_offset : names_offset + names_bytes].decode()
        self._names = names.split()
        self._figures = struct.Struct(f"@{len(self._names)}Q")
        self._started = start_ns / 1e9
        self._allocator = allocator.rstrip(b"\0").decode()
        self._plugin_version = plugin_version.rstrip(b"\0").decode()

    def _record(self, index: int) -> tuple[DeviceReading, bool]:
        start = self._device_offset + index * self._device_bytes
        name = self._memory[start : start + self._figures_offset].partition(b"\0")[0].decode()
        values, consistent = self._consistent_figures(start + self._figures_offset)
        return DeviceReading(index, name, dict(zip(self._names, values))), consistent

    def _consistent_figures(self, at: int) -> tuple[tuple[int, ...], bool]:
        """Read until the sequence number was even and the same before and after."""
        give_up = time.monotonic() + _PATIENCE_S
        while True:
            (before,) = struct.unpack_from("@Q", self._memory, at)
            values = self._figures.unpack_from(self._memory, at + 8)
            (after,) = struct.unpack_from("@Q", self._memory, at)
            if before == after and before % 2 == 0:
                return values, True
            if time.monotonic() > give_up:
                return values, False
            time.sleep(1e-4)


def folder() -> Path:
    """Return where the files of this user's processes are."""
    return Path(os.environ.get("TMPDIR") or "/tmp") / f"paddle_mps-{os.getuid()}"


def processes() -> list[int]:
    """Return the processes that show something, and remove what dead ones left behind."""
    try:
        names = [entry.name for entry in folder().iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(pid for pid in map(int, filter(str.isdigit, names)) if _lives(pid))


def _lives(pid: int) -> bool:
    try:
        file = _open_checked(pid)
    except NoPageError:
        return False
    try:
        if _is_locked(file):
            return True
        (folder() / str(pid)).unlink(missing_ok=True)
        return False
    finally:
        os.close(file)


def _open_checked(pid: int) -> int:
    """Open a process's file if it is this user's own."""
    path = folder() / str(pid)
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            raise NoPageError(_no_such_process(pid)) from None
        raise NoPageError(
            f"[monitor] cannot open a page: expected a file of your own, got {error}. Remove it."
        ) from None
    status = os.fstat(file)
    if status.st_uid != os.getuid() or not stat.S_ISREG(status.st_mode):
        os.close(file)
        raise NoPageError(
            f"[monitor] not your own page: expected a file of user {os.getuid()}, got one of user "
            f"{status.st_uid} in {path}. Remove it."
        )
    return file


def _is_locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


def _no_such_process(pid: int) -> str:
    others = ", ".join(str(other) for other in processes() if other != pid) or "none"
    return (
        f"[monitor] process {pid} shows nothing: expected one of {others}, got no page in "
        f"{folder()}. It must have imported Paddle with this plugin, with the same TMPDIR and "
        "without PADDLE_MPS_MONITOR=0."
    )


def _foreign_page(pid: int, got: str) -> str:
    return (
        f"[monitor] cannot read the page of process {pid}: expected version {_VERSION}, got {got}. "
        "Use the paddle_mps that the process uses."
    )


def _command(pid: int) -> str:
    """Return a process's command as one line; empty if the system does not tell."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
        return " ".join(arguments.decode(errors="replace").split())
    except OSError:  # no such folder on macOS
        pass
    try:
        ps = subprocess.run(
            ["ps", "-o", "command=", "-p", str(pid)],
            capture_output=True,
            text=True,
            timeout=_COMMAND_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return " ".join(ps.stdout.split())
