"""`python -m paddle_mps.memory_plot snapshot.json -o picture.png`: a memory snapshot as pictures.

The first picture shows every heap and block. If the snapshot has a history, a second one beside it
(picture-history.png) shows figures over time and who held memory at the peak. Needs matplotlib, and
neither Paddle nor a device.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .memory_picture import plot_memory_history, plot_memory_snapshot
from .memory_timeline import load


def main(arguments: list[str] | None = None) -> int:
    """Draw; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m paddle_mps.memory_plot",
        description="Draw a snapshot that paddle_mps.memory_snapshot(path) wrote.",
    )
    parser.add_argument("snapshot", type=Path, help="the file that memory_snapshot wrote")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        help="the picture; its ending says of which kind (default: the snapshot's name with .png)",
    )
    options = parser.parse_args(arguments)
    output = options.output or options.snapshot.with_suffix(".png")
    try:
        snapshot = load("memory_plot", options.snapshot)
        plot_memory_snapshot(snapshot, output)
        print(output)
        if snapshot["history"]:
            second = output.with_name(f"{output.stem}-history{output.suffix}")
            plot_memory_history(snapshot, second)
            print(second)
    except (ImportError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
