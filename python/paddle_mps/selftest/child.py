"""A program whose lines are read as they come, and that may crash or hang."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import tempfile
import threading


class Child:
    """Started at once. Every wait for it has a limit."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def line(self, seconds: float) -> str | None:
        """The next line; None after the last. Raises TimeoutError if none comes in time."""
        try:
            return self._lines.get(timeout=max(0.0, seconds))
        except queue.Empty:
            raise TimeoutError from None

    def end(self, seconds: float = 30) -> str:
        """Wait for the end, or bring it about; "" if it is a good one, else how it ended."""
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return f"no end of it after {seconds:.0f} s"
        return how_it_ended(status) if status else ""

    def kill(self) -> None:
        """End it and what it started."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()

    def last_words(self, lines: int = 8) -> str:
        """The end of what it wrote to stderr, and of the stack that Paddle writes behind it."""
        self._errors.seek(0)
        text = self._errors.read().decode("utf-8", "replace")
        said, stack, frames = text.partition("C++ Traceback (most recent call last):")
        told = said.strip(" -\n").splitlines()[-lines:]
        return "\n".join([*told, *([stack, *frames.strip().splitlines()[-3:]] if stack else [])])

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)


def how_it_ended(status: int) -> str:
    """ "exit status 1" or "signal SIGSEGV"."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:  # a signal that Python has no name for
        return f"signal {-status}"
