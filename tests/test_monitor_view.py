"""The monitor as a terminal shows it."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from pathlib import Path
from typing import Any

import paddle_mps
import pyte
import pytest
from child import clean_environment
from monitored import as_json, do, monitor, process
from paddle_mps import monitor as monitor_module
from paddle_mps import monitor_view
from rich.console import Console

pytestmark = pytest.mark.usefixtures("mps", "pages")


HERE = Path(paddle_mps.__file__).parents[1]


# -- drawing --------------------------------------------------------------------------------------


class Terminal:
    """A terminal of 100 by 30 characters, with the monitor in it."""

    def __init__(self, *arguments: str) -> None:
        self._screen = pyte.Screen(100, 30)
        self._stream = pyte.ByteStream(self._screen)
        self.pid, self._end = pty.fork()
        if self.pid == 0:
            env = clean_environment(TERM="xterm-256color", COLUMNS=None, LINES=None)
            command = [sys.executable, "-W", "ignore", "-m", "paddle_mps.monitor", *arguments]
            os.execve(sys.executable, command, env)
        fcntl.ioctl(self._end, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))

    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self._screen.display)

    def wait_for(self, words: str, seconds: float = 60) -> re.Match[str]:
        """Read until the screen has what is looked for; return the match."""
        end = time.monotonic() + seconds
        while not (match := re.search(words, self.text())):
            assert time.monotonic() < end, f"no {words!r} in\n{self.text()}"
            assert self._read(), f"ended without {words!r}:\n{self.text()}"
        return match

    def press(self, key: bytes) -> None:
        os.write(self._end, key)

    def end(self) -> int:
        """Wait for its end; return the exit status."""
        while self._read():
            pass
        os.close(self._end)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _read(self) -> bool:
        """Take what comes within a moment; False at the end."""
        ready, _, _ = select.select([self._end], [], [], 0.2)
        try:
            data = os.read(self._end, 1 << 16) if ready else None
        except OSError:  # the other end is closed
            return False
        if data:
            self._stream.feed(data)
        return data != b""


def test_it_draws_a_process_and_what_changes() -> None:
    code = "kept = [paddle.full([1 << 20], 1.0)]"
    with process(code) as child:
        terminal = Terminal(str(child.pid), "--interval", "0.1")
        terminal.wait_for(rf"process {child.pid}  up 00:0\d:\d\d")
        terminal.wait_for(r"mps:0  ")
        terminal.wait_for(r"reserved +█+ +4\.00 MiB  peak 4\.00 MiB")
        terminal.wait_for(r"allocated +█+ +4\.00 MiB  peak 4\.00 MiB")
        terminal.wait_for(r"of limit .+ of [\d.]+ GiB")
        terminal.wait_for(r"blocks +1 +heaps +1 ")
        terminal.wait_for(r"reserved +█{3,}")  # a history
        do(child, "kept.append(paddle.full([7 << 18], 1.0))")
        terminal.wait_for(r"allocated +.+ 11\.00 MiB  peak 11\.00 MiB")
        do(child, "paddle_mps.set_per_process_memory_fraction(0)")
        terminal.wait_for(r"of no limit")
        do(child, "[paddle.ones([3]) for _ in range(100)]")
        terminal.wait_for(r"allocations +\d+ \([1-9]\d*/s\)")
        terminal.press(b"q")
        assert terminal.end() == 0


@pytest.mark.parametrize("key", [b"q", b"Q", b"\x03"])
def test_it_leaves_when_it_is_told_to(key: bytes) -> None:
    with process("") as child:
        terminal = Terminal(str(child.pid))
        terminal.wait_for("q leaves")
        terminal.press(key)
        began = time.monotonic()
        assert terminal.end() == 0
        assert time.monotonic() - began < 20
        assert "Traceback" not in terminal.text()


def test_control_c_leaves_in_the_midst_of_a_picture_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key may be pressed while nobody waits for one."""

    def interrupted(view: monitor_view.View, width: int) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(monitor_view.View, "render", interrupted)
    screen = Console(file=io.StringIO(), force_terminal=True)
    monkeypatch.setattr(monitor_module, "_console", lambda: screen)
    with process("") as child:
        assert monitor_module.main([str(child.pid)]) == 0


def test_it_ends_with_the_process() -> None:
    with process("") as child:
        terminal = Terminal(str(child.pid), "--interval", "0.1")
        terminal.wait_for("q leaves")
        child.kill()
        assert terminal.end() == 0
        assert f"process {child.pid} has ended" in terminal.text()


def test_it_shows_a_training_of_its_own() -> None:
    terminal = Terminal("--self", "--interval", "0.2")
    terminal.wait_for(rf"process {terminal.pid} ")
    terminal.wait_for(r"launches +[\d,]+ \([1-9][\d,]*/s\)")
    terminal.wait_for(r"graph hits +[1-9]")
    assert "paddle_mps warning" not in terminal.text()
    terminal.press(b"q")
    assert terminal.end() == 0


def test_one_reading_of_its_own_training() -> None:
    reading = as_json("--self")
    figures = reading["devices"][0]
    assert figures["launches"] > 100
    assert figures["blocks_bytes"] > 1 << 20
    text = monitor("--self", "--once").stdout
    assert re.search(r"launches +\d+ ", text)
    assert re.search(r"mps:0 ", text)


def test_a_process_that_is_stopped_is_shown_as_it_was() -> None:
    with process("x = paddle.ones([1000])") as child:
        os.kill(child.pid, signal.SIGSTOP)
        reading = as_json(str(child.pid))
        assert reading["devices"][0]["block_count"] == 1
        assert reading["consistent"] is True
        os.kill(child.pid, signal.SIGCONT)


def test_figures_in_the_middle_of_a_change_are_marked(pages: Path) -> None:
    with process("x = paddle.ones([1000])") as child:
        page = bytearray((pages / str(child.pid)).read_bytes())
    (device_offset, _, figures_offset) = struct.unpack_from("@III", page, 44)
    struct.pack_into("@Q", page, device_offset + figures_offset, 7)  # odd: it was killed there
    path = pages / "4000000"
    path.write_bytes(page)
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert as_json("4000000")["consistent"] is False
        assert "stopped in the middle of a change" in monitor("4000000", "--once").stdout
