"""`python -m paddle_mps.monitor`: how processes use memory, live, in the terminal.

    python -m paddle_mps.monitor              which processes there are
    python -m paddle_mps.monitor 1234         one of them; q or Ctrl-C leaves
    python -m paddle_mps.monitor --self       a small training in this process
    python -m paddle_mps.monitor 1234 --json  one reading, for scripts

It reads a small file that each process with the plugin keeps (PADDLE_MPS_MONITOR), so the process
itself notices nothing. Drawing needs rich.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import sys
import termios
import threading
import time
import tty
from typing import TYPE_CHECKING

from . import monitor_page
from .monitor_page import NoPageError, Page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from .monitor_view import View

# So many, so that the history shows what came and went between two pictures.
_READINGS_PER_PICTURE = 10
_STEPS_OF_ONE_READING = 20  # that --self trains before it prints


def main(arguments: list[str] | None = None) -> int:
    """Show what is asked for; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m paddle_mps.monitor",
        description="Show how processes use the memory of mps devices.",
    )
    parser.add_argument("pid", nargs="?", type=int, help="the process; none: list them")
    parser.add_argument("--self", action="store_true", help="run a small training and show it")
    parser.add_argument("--once", action="store_true", help="print one reading and end")
    parser.add_argument("--json", action="store_true", help="the same, as JSON")
    parser.add_argument(
        "--interval", type=float, default=0.5, help="seconds between readings (default: 0.5)"
    )
    options = parser.parse_args(arguments)
    if options.self and options.pid is not None:
        parser.error("expected a process or --self, got both")
    if not 0.05 <= options.interval <= 3600:
        parser.error(f"expected an interval from 0.05 to 3600 seconds, got {options.interval}")
    try:
        if options.self:
            return _show_self(options)
        if options.pid is None:
            return _list(options)
        with Page(options.pid) as page:
            return _show(page, options)
    except (ImportError, NoPageError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1


def _list(options: argparse.Namespace) -> int:
    readings = []
    for pid in monitor_page.processes():
        # It may end, or be of another version, while we look at the others.
        with contextlib.suppress(NoPageError), Page(pid) as page:
            readings.append(page.read())
    if options.json:
        print(json.dumps([reading.as_dict() for reading in readings]))
        return 0
    from . import monitor_view

    _console().print(monitor_view.list_of(readings))
    return 0


def _show(page: Page, options: argparse.Namespace) -> int:
    if options.json:
        print(json.dumps(page.read().as_dict()))
        return 0
    from . import monitor_view

    console, view = _console(), monitor_view.View()
    if options.once:
        view.add(page.read())
        console.print(view.render(console.width))
        return 0
    if not console.is_terminal:
        print(
            "[monitor] nowhere to draw: expected a terminal, got a file or a pipe. Pass --once or "
            "--json.",
            file=sys.stderr,
        )
        return 1
    try:
        if _watch(page, view, console, options.interval):
            print(f"process {page.pid} has ended")
    except KeyboardInterrupt:  # Ctrl-C leaves as q does, in the midst of a picture too
        return 0
    return 0


def _watch(page: Page, view: View, console: Console, interval: float) -> bool:
    """Draw until the process ends (True) or somebody presses q (False)."""
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    with _keys() as wait_for_key, Live(console=console, screen=True, auto_refresh=False) as live:
        while page.is_alive():
            view.add(page.read())
            hint = Text("q leaves", "dim", justify="right")
            live.update(Group(view.render(console.width), hint), refresh=True)
            for _ in range(_READINGS_PER_PICTURE):
                if wait_for_key(interval / _READINGS_PER_PICTURE) in ("q", "Q"):
                    return False
                view.add_between(page.read())
    return True


def _show_self(options: argparse.Namespace) -> int:
    from . import _library, monitor_training

    path = _library.require("monitor").monitor_page()
    if not path:
        raise NoPageError(
            "[monitor] this process shows nothing: expected a page, got none. Unset "
            "PADDLE_MPS_MONITOR, and see PADDLE_MPS_LOG=debug if that does not help."
        )
    training = monitor_training.Training()
    if options.once or options.json:
        training.run(steps=_STEPS_OF_ONE_READING)
        with Page(os.getpid()) as page:
            return _show(page, options)
    thread = threading.Thread(target=training.run, name="training")
    thread.start()
    try:
        with Page(os.getpid()) as page:
            return _show(page, options)
    finally:
        training.stop()
        thread.join()


def _console() -> Console:
    from ._tools import require_package

    return require_package("monitor", "rich.console").Console()


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[float], str]]:
    """Yield a function that waits some seconds for a key, and returns it or an empty string."""
    if not sys.stdin.isatty():  # then only Ctrl-C leaves

        def sleep(seconds: float) -> str:
            time.sleep(seconds)
            return ""

        yield sleep
        return

    def wait(seconds: float) -> str:
        ready, _, _ = select.select([sys.stdin], [], [], seconds)
        return os.read(sys.stdin.fileno(), 1).decode(errors="replace") if ready else ""

    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin.fileno())  # keys come at once, and are not shown
    try:
        yield wait
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


if __name__ == "__main__":
    sys.exit(main())
