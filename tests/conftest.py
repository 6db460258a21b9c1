"""One device, one seed, a time limit, and the gate: what is registered for mps has been run.

The gate adds up, over all pytest-xdist workers, which kernels ran on mps in which dtype, and fails
a complete run that left one out. test_coverage.py asks the same of the case tables; the gate asks
what really happened.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

os.environ.setdefault(
    "GLOG_minloglevel", "2"
)  # Paddle's plugin loader is chatty, and only at import

import fast
import known_gaps
import pytest

SECONDS_PER_TEST = 150  # above the limit of child processes, so that those report themselves
# Registered, but out of Python's reach: (kernels, dtypes), and why. Empty kernels: any.
_FLOATS = ("float32", "float16", "bfloat16")
_INTEGERS = ("int8", "int16", "int32", "int64", "uint8")
UNREACHABLE = (
    ((), ("uint16",), "Paddle's Python takes UINT16 for bfloat16"),
    (("contiguous", "strided_copy"), ("uint32", "uint64"), "Paddle makes no views of these types"),
    (("empty",), ("uint32", "uint64"), "Paddle's Python makes no tensors of these types"),
    (("assign_raw",), ("float8_e5m2", "uint32", "uint64"), "no static program takes these types"),
    (("divide", "divide_grad"), _INTEGERS, "Paddle divides integers as float32"),
    (
        ("dequantize_linear",),
        (*_FLOATS, "int8", "int32", "uint8"),
        "where a program asks for it Paddle makes a quantize_linear",
    ),
    (
        ("quantize_linear_deprecated_train",),
        _FLOATS,
        "for programs of Paddle's old representation, which no table makes",
    ),
)


def is_unreachable(kernel: str, dtype: str) -> bool:
    return any(
        dtype in dtypes and kernel in (kernels or (kernel,)) for kernels, dtypes, _ in UNREACHABLE
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="a quick choice of tests (tests/fast.py)")


def pytest_configure(config: pytest.Config) -> None:
    # A program that a shell starts in the background ignores interrupts, and its children do too.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.stash[_RAN] = set()
    config.stash[_REGISTERED] = set()


_RAN = pytest.StashKey[set]()
_REGISTERED = pytest.StashKey[set]()


def registered_kernels() -> set[tuple[str, str]]:
    """(kernel, dtype) of what is registered for mps, without Paddle's own for any device."""
    import paddle

    found = set()
    for kernel, keys in paddle.base.core._get_registered_phi_kernels().items():
        for key in keys:
            backend, _, dtype = key.strip("()").split(", ")
            if backend == "mps":
                found.add((kernel, dtype))
    return found


def rows(questions: Iterable[tuple]) -> list:
    """Rows of the self-test's questions as parameters, named by what they are about."""
    return [pytest.param(*row, id="-".join(map(str, row))) for row in questions]


# -- every test -----------------------------------------------------------------------------------


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SECONDS_PER_TEST))
    known_gaps.mark(items)
    if config.option.fast:
        fast.select(config, items)
    if _is_complete(config) and known_gaps.unused(items):
        raise pytest.UsageError(f"known_gaps.py: no such tests: {known_gaps.unused(items)}")


def pytest_collection_finish() -> None:
    """Thirty thousand tests stay to the end: collections of garbage need not look at them."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def mps() -> None:
    """The device under test. Without it a test fails: it has nothing to say about another."""
    import paddle

    if "mps" not in paddle.device.get_all_custom_device_type():
        pytest.fail(
            "Paddle has no mps device: run `make build`, see CONTRIBUTING.md", pytrace=False
        )


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the monitor finds the pages of this test's processes; nobody else's are there."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path / f"paddle_mps-{os.getuid()}"


@pytest.fixture(scope="session")
def what_is_there_stays() -> None:
    """Nor do they need to look at what earlier tests left: programs, reports, modules."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def nothing_stays_shared(mps: None, what_is_there_stays: None) -> Iterator[None]:
    """mps is the device; a test that leaves memory of the program shared with it fails."""
    import paddle
    from shared_memory import external

    paddle.set_device("mps")
    gc.collect()
    yield
    gc.collect()
    assert external() == (0, 0), "memory of the program is still shared with the device"


@pytest.fixture
def on_mps(mps: None) -> Iterator[None]:
    """mps is the device, numbers are the same in every run, and a missing kernel is an error."""
    from paddle_mps.selftest import harness

    with harness.on_mps():
        yield


@pytest.fixture
def no_fallback(on_mps: None) -> Iterator[None]:
    """Beyond the error that on_mps makes of a missing kernel: nothing goes to the CPU quietly."""
    from paddle_mps.selftest import harness

    watch = harness.Watch()
    with watch:
        yield
    watch.assert_ran([], "", "training")


@pytest.fixture
def backend(mps: None) -> str:
    """What stands behind the device: "metal", "host" or "null"."""
    from paddle_mps.selftest import harness

    return harness.backend()


# -- the gate -------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """After every test, because a test may set the counts to zero."""
    if "paddle_mps" in sys.modules and sys.modules["paddle_mps"].is_available():
        from paddle_mps.selftest import harness

        ran = {(op, dtype) for op, dtype, where in harness.op_calls() if where == "mps"}
        item.config.stash[_RAN] |= ran


def _is_complete(config: pytest.Config) -> bool:
    """Only a run of everything can say that something was left out."""
    here = Path(__file__).resolve().parent
    whole = all(Path(arg).resolve() in (here, here.parent) for arg in config.args)
    narrowing = (
        "keyword",
        "markexpr",
        "lf",
        "collectonly",
        "maxfail",
        "ignore",
        "deselect",
        "fast",
    )
    return whole and not any(getattr(config.option, name, None) for name in narrowing)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    config = session.config
    if config.stash[_RAN]:
        config.stash[_REGISTERED] |= registered_kernels()
    if hasattr(config, "workeroutput"):  # this process is a worker
        config.workeroutput["mps_ran"] = sorted(config.stash[_RAN])
        config.workeroutput["mps_registered"] = sorted(config.stash[_REGISTERED])
    elif exitstatus == 0 and missing_kernels(config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object, error: object) -> None:
    output = getattr(node, "workeroutput", {})
    node.config.stash[_RAN] |= {tuple(row) for row in output.get("mps_ran", ())}
    node.config.stash[_REGISTERED] |= {tuple(row) for row in output.get("mps_registered", ())}


def missing_kernels(config: pytest.Config) -> list[str]:
    if not _is_complete(config):
        return []
    missing = config.stash[_REGISTERED] - config.stash[_RAN]
    return sorted(
        f"{kernel} ({dtype})" for kernel, dtype in missing if not is_unreachable(kernel, dtype)
    )


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    missing = missing_kernels(config)
    if missing:
        terminalreporter.section("kernels registered for mps that no test ran", red=True)
        terminalreporter.line(", ".join(missing))
    elif config.stash[_RAN]:
        kernels = len({kernel for kernel, _ in config.stash[_RAN]})
        terminalreporter.line(
            f"ran on mps: {kernels} kernels, {len(config.stash[_RAN])} (kernel, dtype) pairs"
        )
