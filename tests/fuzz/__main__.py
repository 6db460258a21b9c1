"""`python tests/fuzz`: random programs on mps, against NumPy and Paddle's CPU device.

Ends with status 1 and a small program where they differ. `--replay FILE` runs such a program again.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

INSIDE = "FUZZ_NOTE"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=10**9, help="how many (default: no limit)")
    parser.add_argument(
        "--seconds",
        type=float,
        default=None,
        help="how long (default: 60, or no limit with --programs)",
    )
    parser.add_argument(
        "--seed", type=int, default=None, help="of the programs (default: the time)"
    )
    parser.add_argument("--only", default="", help="ops whose names contain this")
    parser.add_argument("--without", default="", help="names of ops to leave out, with commas")
    parser.add_argument(
        "--keep-going", action="store_true", help="go on without the op that differed"
    )
    parser.add_argument("--refused", action="store_true", help="say what the CPU device refused")
    parser.add_argument("--replay", type=Path, help="a file with a program that was printed")
    found = parser.parse_args()
    if found.seconds is None:
        found.seconds = 60.0 if found.programs == 10**9 else 10.0**9
    if found.seed is None:
        found.seed = int(time.time())
    return found


def hunt(options: argparse.Namespace, note: int) -> int:
    """Run programs; return the exit status. What runs is written to the file `note` first."""
    import generate
    from hunt import Hunt, replay
    from paddle_mps.selftest import harness
    from program import read
    from table import ROWS

    def tell(text: str) -> None:
        os.pwrite(note, text.encode() + b"\0", 0)

    without = set(options.without.split(","))
    rows = [r for r in ROWS if options.only in r.name and r.name not in without]
    with harness.on_mps():
        if options.replay:
            message = replay(read(options.replay.read_text()))
            print(message or "no difference")
            return 1 if message else 0
        start, cpu = time.monotonic(), time.process_time()
        one = Hunt(options.seed, rows, tell)
        one.run(options.programs, options.seconds, options.keep_going)
        seconds, busy = time.monotonic() - start, time.process_time() - cpu
        fell_back = sorted({op for op, _, where in harness.op_calls() if where == "cpu"})
    for found in one.found:
        print(f"\n[fuzz] {found}")
    never = [r.name for r in rows if not one.ran[r.name]]
    print(
        f"[fuzz] --seed {options.seed}: {one.programs} programs, {one.gradients} of them with "
        f"gradients, {sum(one.ran.values())} ops of {len(rows)} kinds in {seconds:.0f} s "
        f"({one.programs / seconds:.0f} programs/s, {one.programs / busy:.0f} per second of CPU "
        f"time); {len(one.found)} differ"
    )
    if never:
        print(f"[fuzz] not run: {', '.join(never)}")
    if fell_back:
        print(f"[fuzz] ran on the CPU: {', '.join(fell_back)}")
    if options.refused:
        for name, (count, why) in sorted(generate.refused.items()):
            print(f"  refused {name}: {count} of {count + one.ran[name]}: {why}")
    return 1 if one.found or fell_back else 0


def main() -> int:
    """Fuzz in a process of its own, because what is looked for may kill it."""
    options = arguments()
    if INSIDE in os.environ:
        faulthandler.enable()
        with open(os.environ[INSIDE], "r+b", buffering=0) as file:
            return hunt(options, file.fileno())
    with tempfile.NamedTemporaryFile() as note:
        command = [
            sys.executable,
            str(Path(__file__).parent),
            *sys.argv[1:],
            "--seed",
            str(options.seed),
        ]
        env = {"GLOG_minloglevel": "2", **os.environ, INSIDE: note.name}
        process = subprocess.run(command, env=env, check=False, timeout=options.seconds + 10 * 60)
        if process.returncode in (0, 1, 2):
            return process.returncode
        text = note.read().split(b"\0", 1)[0].decode()
        print(
            f"[fuzz] --seed {options.seed}: the process died ({process.returncode}) in the last "
            f"line of:\n{text}"
        )
        return 1


if __name__ == "__main__":
    sys.exit(main())
