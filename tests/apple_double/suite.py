"""The operator suite of Paddle, through plugin/metal on the test double, at each level of macOS.

    make test-double
    python tests/apple_double/suite.py --build build/double --releases 13.3 -- tests/test_ops.py

The plugin that was built on the double is put into a folder of its own, so that the developer's
installed plugin stays what it is. A test may end in a refusal: supports() said, in a sentence, what
this macOS cannot do. Which sentences may be said at which release, refusals.py knows; any other
failure, and any other refusal, fails the run. selection.py says what the usual run leaves out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RELEASES = ("12.0", "13.3", "14.0", "15.0", "26.0")
# Operators are asked of every release. Of the oldest, layouts too: it lacks most of what moves
# elements. Of the newest, all that has to do with a device, and the quantised numbers of other
# libraries; it alone keeps compiled graphs.
EVERYWHERE = ("tests/test_ops.py",)
OLDEST = ("tests/test_layouts.py",)
NEWEST = (
    "tests/test_layouts.py",
    "tests/test_grads.py",
    "tests/test_bad_input.py",
    "tests/test_copies.py",
    "tests/test_runtime.py",
    "tests/test_streams.py",
    "tests/test_events.py",
    "tests/test_fork.py",
    "tests/test_signals.py",
    "tests/test_graph_cache.py",
    "tests/test_random.py",
    "tests/test_random_numbers.py",
    "tests/test_random_samples.py",
    "tests/test_zero_copy.py",
    "tests/test_zero_copy_dlpack.py",
    "tests/test_quantised_blocks.py",
    "tests/test_quantised_matmul.py",
    "tests/test_quantised_layers.py",
    "tests/test_quantised_optimizers.py",
    "tests/test_quantised_sweep.py",
    "tests/test_paddle_vectors.py",
    "tests/test_bitnet.py",
)
# Of the newest too, with one op in each command buffer: the profiler shows command buffers, by the
# names of their ops.
ONE_BY_ONE = ("tests/test_profiler.py",)
TIME_LIMIT_S = 1800
# Compiled graphs are a hundred thousand small files, 400 MB together: a disk takes minutes to write
# and to remove them, memory seconds.
MEMORY = Path("/dev/shm")
WANTED_BYTES = 2 << 30


def install(build: Path) -> Path:
    """Put the plugin, the loader and the Python package below one folder, as a wheel would."""
    prefix = build / "prefix"
    for component in ("package", "loader"):
        command = ["cmake", "--install", str(build), "--component", component]
        command += ["--prefix", str(prefix)]
        subprocess.run(command, check=True, timeout=120, stdout=subprocess.DEVNULL)
    package = ROOT / "python"
    for path in package.rglob("*.py"):
        place = prefix / path.relative_to(package)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, place)
    version = (ROOT / "VERSION").read_text(encoding="utf-8").strip()
    info = prefix / f"paddle_mps-{version}.dist-info"
    info.mkdir(exist_ok=True)
    metadata = f"Metadata-Version: 2.1\nName: paddle-mps\nVersion: {version}\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")
    return prefix


def fast_folder() -> Path | None:
    """Choose where compiled graphs lie: in memory if there is plenty, else where temporaries do."""
    plenty = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= WANTED_BYTES
    return MEMORY if plenty else None


def usual_tests(release: str) -> list[str]:
    """Choose what is asked at a release."""
    more = OLDEST if release == RELEASES[0] else NEWEST if release == RELEASES[-1] else ()
    return [*EVERYWHERE, *more]


def environment(prefix: Path, release: str, folder: Path) -> dict[str, str]:
    """Choose the plugin and the Mac that it believes to run on."""
    env = dict(os.environ)
    for name in [name for name in env if name.startswith("PADDLE_MPS_")]:
        if name != "PADDLE_MPS_DOUBLE_ALL":
            del env[name]
    env["PYTHONPATH"] = os.pathsep.join((str(prefix), str(Path(__file__).parent)))
    env["CUSTOM_DEVICE_ROOT"] = str(prefix / "paddle_custom_device")
    env["PADDLE_MPS_DOUBLE_OS"] = release
    env["PADDLE_MPS_GRAPH_FOLDER"] = str(folder / "graphs") if release == RELEASES[-1] else "off"
    env["PADDLE_MPS_DOUBLE_LOG"] = str(folder / f"violations-{release}")
    env["GLOG_minloglevel"] = "2"
    return env


def run(
    prefix: Path, release: str, tests: list[str], jobs: int, folder: Path, **settings: str
) -> bool:
    """Run pytest as if on a Mac with this release; tell whether all is well."""
    start = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "refusals", "-n", str(jobs)]
    command += ["-p", "selection", "-p", "no:cacheprovider", *tests]
    env = {**environment(prefix, release, folder), **settings}
    code = subprocess.run(command, cwd=ROOT, env=env, check=False, timeout=TIME_LIMIT_S).returncode
    violations = Path(env["PADDLE_MPS_DOUBLE_LOG"])
    if violations.exists():
        code = code or 1
        print("[double] rules that were broken:")
        print("  " + "\n  ".join(sorted(set(violations.read_text(encoding="utf-8").splitlines()))))
    words = "fine" if code == 0 else f"failed (status {code})"
    print(f"[double] macOS {release}: {words}, {time.monotonic() - start:.0f} s", flush=True)
    return code == 0


def main() -> int:
    """Serve `make test-double`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--releases", nargs="+", default=list(RELEASES))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--all", action="store_true", help="also what selection.py leaves out")
    parser.add_argument("tests", nargs="*", help="instead of the usual ones; pytest's options too")
    options = parser.parse_args()
    if options.all:
        os.environ["PADDLE_MPS_DOUBLE_ALL"] = "1"
    prefix = install((ROOT / options.build).resolve())
    failed = []
    with tempfile.TemporaryDirectory(prefix="apple_double.", dir=fast_folder()) as folder:
        for release in options.releases:
            tests = options.tests or usual_tests(release)
            if not run(prefix, release, tests, options.jobs, Path(folder)):
                failed.append(release)
            elif release == RELEASES[-1] and not options.tests:
                one_by_one = {"PADDLE_MPS_COMMIT_OPS": "1"}
                if not run(prefix, release, list(ONE_BY_ONE), 1, Path(folder), **one_by_one):
                    failed.append(release)
    if failed:
        print(f"[double] failed at macOS {', '.join(failed)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
