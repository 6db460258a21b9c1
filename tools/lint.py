"""Run every linter and formatter check; with --fix, let the formatters write.

`make lint` and CI run this and nothing else, so "passes here" and "passes there" are one fact.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CPP = (".h", ".cc", ".mm")
TIME_LIMIT_S = 600
# Paths of the machines that people and robots happen to work on: they mean nothing to a reader.
# In pieces, so that this file passes.
FORBIDDEN = re.compile(
    "(?<![A-Za-z0-9_.])/wo" + r"rk/|\.\./sha" + "red|/home/" + r"\w+/|/Users/" + r"\w+/"
)


def files() -> list[str]:
    """List the files under git, or about to be."""
    # safe.directory: in CI's containers the checkout often belongs to another user.
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files"]
    command += ["--cached", "--others", "--exclude-standard"]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    return [name for name in sorted(set(out.stdout.splitlines())) if (ROOT / name).is_file()]


def tool(name: str) -> str:
    """Find a program beside this Python, else on the PATH."""
    beside = shutil.which(name, path=str(Path(sys.executable).parent))
    return beside or shutil.which(name) or name


def run(*command: str) -> bool:
    """Run a checker from the top of the tree; True if it is content."""
    process = subprocess.run(command, cwd=ROOT, timeout=TIME_LIMIT_S, check=False)
    return process.returncode == 0


def check_words(names: list[str]) -> bool:
    """Refuse paths of private machines in text."""
    fine = True
    for name in names:
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # not text
        for match in FORBIDDEN.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            print(f"{name}:{line}: a path of somebody's machine: {match[0]}")
            fine = False
    return fine


def main() -> int:
    """Run all, then tell which failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fix", action="store_true", help="let the formatters write")
    fix = parser.parse_args().fix
    names = files()
    cpp = [name for name in names if name.endswith(CPP)]
    shell = [name for name in names if name.endswith(".sh") or name == ".ci/run"]
    ruff = ["check", "--quiet", "--output-format", "concise", *(["--fix"] if fix else [])]
    mode = ["-i"] if fix else ["--dry-run", "-Werror"]
    checks = {
        "ruff check": lambda: run(tool("ruff"), *ruff, "."),
        "ruff format": lambda: run(
            tool("ruff"), "format", "--quiet", *([] if fix else ["--diff"]), "."
        ),
        "clang-format": lambda: not cpp or run(tool("clang-format"), *mode, *cpp),
        "shellcheck": lambda: run(tool("shellcheck"), *shell),
        "layers": lambda: run(sys.executable, str(ROOT / "tools" / "layers.py")),
        "metal table": lambda: run(sys.executable, str(ROOT / "tools" / "metal_md.py"), "--check"),
        "table of ops": lambda: run(sys.executable, str(ROOT / "tools" / "ops_md.py"), "--check"),
        "words": lambda: check_words(names),
    }
    failed = [name for name, check in checks.items() if not check()]
    if failed:
        print(f"[lint] failed: {', '.join(failed)}. `make format` repairs what formatters can.")
        return 1
    print(f"[lint] {', '.join(checks)}: fine ({len(names)} files)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
