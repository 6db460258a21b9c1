"""Finds which op runs in which dtype from which macOS on, and writes tools/ops.json.

Asks the built plugin: the host device, told to refuse what each release of macOS could not compute
(PADDLE_MPS_HOST_MACOS), runs every case of the self-test and its gradient, in a process for each
release. A kernel works on a release where none of its cases is refused.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "tools" / "ops.json"
TARGET = ROOT / "plugin" / "metal" / "legal" / "target.h"
MOST_ELEMENTS = 5000
TIME_LIMIT_S = 1800


def releases() -> list[str]:
    """Read the releases that legalisation tells apart."""
    numbers = re.search(r"kReleases\[\] = \{([^}]*)\}", TARGET.read_text(encoding="utf-8"))[1]
    return [f"{int(n) // 10}.{int(n) % 10}" for n in numbers.split(",")]


def registered() -> list[tuple[str, str]]:
    """List (kernel, dtype) of what is registered for mps."""
    import paddle

    kernels = paddle.base.core._get_registered_phi_kernels()
    keys = [(k, key.strip("()").split(", ")) for k, keys in kernels.items() for key in keys]
    return sorted({(k, dtype) for k, (backend, _, dtype) in keys if backend == "mps"})


def _run(case, dtype: str, with_gradient: bool) -> str:
    """Run a case; return the op that was refused, or ""."""
    import numpy as np
    import paddle
    from paddle_mps.selftest import harness

    try:
        few = [s for s in case.shapes if sum(int(np.prod(x)) for x in s) <= MOST_ELEMENTS]
        for shapes in few or case.shapes[:1]:
            tensors = [harness.tensor(n, dtype) for n in harness.draw(case, shapes, dtype)]
            if with_gradient:
                for i, tensor in enumerate(tensors):
                    inputs = case.gradient.inputs
                    tensor.stop_gradient = inputs is not None and i not in inputs
            with harness.views_as(case, "mps"):
                results = harness.run(case, dtype, tensors, "mps")
                if with_gradient:
                    paddle.autograd.backward([r for r in results if not r.stop_gradient])
    except Exception as error:  # Paddle's own, of many kinds
        # What the legalisation refuses is Unimplemented; anything else is not the release's fault.
        refused = re.search(r"\(Unimplemented\) \[(\w+)\]", str(error))
        if refused is None:
            print(f"[ops] {case.id} ({dtype}): {str(error).strip()[-300:]}", file=sys.stderr)
        return refused[1] if refused else ""
    return ""


def ask(only: str = "") -> list[tuple[str, str]]:
    """List the (kernel, dtype) that work on the release that this process is told to be."""
    from paddle_mps.selftest import harness
    from paddle_mps.selftest.cases import ALL_CASES

    refused = set()
    with harness.on_mps():
        for case in ALL_CASES:
            if only not in case.id:
                continue
            for dtype in case.dtypes:
                refused.add((_run(case, dtype, False), dtype))
                if case.gradient and dtype in case.gradient.dtypes:
                    refused.add((_run(case, dtype, True), dtype))
        ran = {(op, dtype) for op, dtype, where in harness.op_calls() if where == "mps"}
    return sorted(pair for pair in registered() if pair in ran and pair not in refused)


def ask_release(release: str, only: str = "") -> set[tuple[str, str]]:
    """Ask in a process that stands in for a release; "" is the host device itself."""
    env = {**os.environ, "GLOG_minloglevel": "2", "PADDLE_MPS_HOST_MACOS": release}
    command = [sys.executable, str(Path(__file__)), "--ask", "--only", only]
    process = subprocess.run(
        command, env=env, stdout=subprocess.PIPE, text=True, timeout=TIME_LIMIT_S, check=True
    )
    return {tuple(pair) for pair in json.loads(process.stdout.splitlines()[-1])}


def collect(only: str = "") -> dict[str, dict[str, str]]:
    """Find, for each kernel and dtype, the first macOS; "host" if there is none yet."""
    found = dict.fromkeys(ask_release("", only), "host")
    left = set(found)  # what works on every newer release
    for release in reversed(releases()):
        left &= ask_release(release, only)
        found.update(dict.fromkeys(left, release))
    table: dict[str, dict[str, str]] = {}
    for (kernel, dtype), since in sorted(found.items()):
        table.setdefault(kernel, {})[dtype] = since
    return table


def main() -> int:
    """Write the data, or answer for one release."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ask", action="store_true", help="answer for this process's release")
    parser.add_argument("--only", default="", help="cases whose names contain this")
    options = parser.parse_args()
    if options.ask:
        answer = ask(options.only)
        print(json.dumps(answer))
        return 0
    rows = [f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in collect(options.only).items()]
    DATA.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
