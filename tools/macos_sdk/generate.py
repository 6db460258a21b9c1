"""Write headers and linker stubs for what plugin/metal uses of Apple's frameworks.

python tools/macos_sdk/generate.py --out build/macos/sdk
python tools/macos_sdk/generate.py --out build/double/sdk --foundation gnustep
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import headers
import stubs
from tables import SdkError, Tables
from used import USED, Selection

ROOT = Path(__file__).resolve().parents[2]


def oldest_macos() -> str:
    """Read the deployment target, which the whole project has in one file."""
    return (ROOT / "MACOS_TARGET").read_text(encoding="utf-8").strip()


def generate(folder: Path, flavour: str, used: Path = USED) -> Selection:
    """Write everything below the folder: include/ and, for the cross build, lib/."""
    selection = Selection(Tables(), oldest_macos(), used)
    headers.Writer(selection, flavour).write(folder / "include")
    if flavour == "apple":
        stubs.write(selection, folder / "lib")
    return selection


def main() -> int:
    """Serve the build."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--foundation", choices=("apple", "gnustep"), default="apple")
    parser.add_argument("--used", type=Path, default=USED, help="another list of used names")
    options = parser.parse_args()
    try:
        generate(options.out, options.foundation, options.used)
    except SdkError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
