"""The monitor: what a process shows, to whom, and how it is drawn."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import paddle_mps
import pytest
from child import SECONDS, run_python, tell
from monitored import as_json, do, monitor, process
from paddle_mps import monitor_page
from paddle_mps.monitor_page import NoPageError, Page

pytestmark = pytest.mark.usefixtures("mps", "pages")

HERE = Path(paddle_mps.__file__).parents[1]


# -- what is shown --------------------------------------------------------------------------------


def test_json_says_what_the_process_itself_says() -> None:
    code = "kept = [paddle.full([n], 1.0) + 1.0 for n in (10, 1000, 100_000, 3_000_000)]"
    with process(code) as child:
        do(child, "paddle_mps.synchronize(); cache = dict(vars(paddle_mps.graph_cache_info()))")
        stats, cache = json.loads(
            do(child, "print(json.dumps([paddle_mps.memory_stats(), cache]))")
        )
        reading = as_json(str(child.pid))
        (device,) = reading["devices"]
        for name, value in stats.items():
            if name.startswith("external"):  # the program's own memory is not on the page
                assert value == 0
            elif "allocated_bytes" not in name or name.startswith("driver"):
                assert device[name] == value, name
        assert device["blocks_bytes"] == stats["allocated_bytes"] > 12_000_000
        assert cache.pop("folder") == ""  # the host device keeps nothing between runs
        for name, value in cache.items():
            assert device[f"graph_cache_{name}"] == value
        assert device["launches"] == cache["hits"] + cache["misses"]
        assert device["name"] == paddle_mps.get_device_name()
        assert reading["pid"] == child.pid
        assert reading["consistent"] is True
        assert reading["allocator"] == "mps"
        assert reading["plugin_version"] == paddle_mps.__version__
        assert "-W ignore -c" in reading["command"]
        assert 0 < reading["time"] - reading["started"] < SECONDS
        names = set(device) - {"index", "name"}
        assert names == (
            {
                name
                for name in stats
                if name not in ("allocated_bytes", "peak_allocated_bytes")
                and not name.startswith("external")
            }
            | {f"graph_cache_{name}" for name in cache}
            | {"launches"}
        )


def test_figures_follow_without_help_of_the_process() -> None:
    """Nothing asks the process for its figures: they are in the page as soon as they change."""
    with process("paddle.ones([1])") as child, Page(child.pid) as page:
        before = page.read().devices[0].figures
        do(child, "x = paddle.full([1 << 20], 1.0)")
        full = page.read().devices[0].figures
        assert full["blocks_bytes"] - before["blocks_bytes"] == 4 << 20
        assert full["launches"] - before["launches"] == 1
        assert full["allocation_count"] - before["allocation_count"] == 1
        assert full["reserved_bytes"] - before["reserved_bytes"] == 4 << 20
        do(child, "x.scale_(2.0); x.scale_(2.0)")  # no allocation
        assert page.read().devices[0].figures["launches"] - full["launches"] == 2
        do(child, "del x; paddle_mps.set_per_process_memory_fraction(0.5)")
        after = page.read().devices[0].figures
        assert after["blocks_bytes"] == before["blocks_bytes"]
        assert after["limit_bytes"] == before["limit_bytes"] // 2
        assert page.is_alive()


def test_a_reading_is_of_one_moment_while_the_process_works() -> None:
    code = """
def work():
    paddle.set_device("mps")
    while True:
        kept = [paddle.full([300 * (1 + i % 50)], 1.0) for i in range(30)]
[threading.Thread(target=work, daemon=True).start() for _ in range(2)]
"""
    with process(code) as child, Page(child.pid) as page:
        end, seen = time.monotonic() + 4, set()
        while time.monotonic() < end:
            reading = page.read()
            figures = reading.devices[0].figures
            assert reading.consistent
            assert figures["allocation_count"] - figures["free_count"] == figures["block_count"]
            assert figures["requested_bytes"] <= figures["blocks_bytes"]
            seen.add(figures["blocks_bytes"])
    assert len(seen) > 10


def test_with_paddles_cache_it_says_what_blocks_are() -> None:
    with process("x = paddle.zeros([1000])", PADDLE_MPS_ALLOCATOR="paddle") as child:
        assert as_json(str(child.pid))["allocator"] == "paddle"
        text = monitor(str(child.pid), "--once").stdout
        assert "allocated: what Paddle's own cache has taken, idle or not" in text


def test_every_device_has_figures_and_names(backend: str) -> None:
    if backend != "host":
        pytest.skip("only the host backend can pretend to be several")
    code = "x = [paddle.zeros([1000 * (i + 1)], device=f'mps:{i}') for i in range(3)]"
    with process(code, PADDLE_MPS_HOST_DEVICES="3") as child:
        devices = as_json(str(child.pid))["devices"]
        assert [device["index"] for device in devices] == [0, 1, 2]
        assert [device["blocks_bytes"] for device in devices] == [4096, 8192, 12032]
        text = monitor(str(child.pid), "--once").stdout
        assert all(f"mps:{i}" in text for i in range(3))


def test_the_list_has_every_process() -> None:
    assert monitor().stdout == "no process with paddle_mps shows its memory\n"
    assert as_json() == []
    with process("x = paddle.zeros([1 << 20])") as first, process("") as second:
        assert monitor_page.processes() == sorted([first.pid, second.pid])
        assert sorted(r["pid"] for r in as_json()) == sorted([first.pid, second.pid])
        lines = monitor().stdout.splitlines()
        assert lines[0].split() == "process device allocated reserved limit command".split()
        rows = {int(line.split()[0]): line for line in lines[1:]}
        assert re.search(r"mps:0 +4\.00 MiB +4\.00 MiB", rows[first.pid])
        assert re.search(r"mps:0 +0 B +0 B", rows[second.pid])


def test_info_and_the_extension_name_the_page(pages: Path) -> None:
    code = "import os, paddle_mps\ntold['page'] = paddle_mps._C.monitor_page(), os.getpid()"
    path, pid = tell(code)["page"]
    assert Path(path) == pages / str(pid)
    facts = json.loads(run_python("-m", "paddle_mps.info", "--json").stdout)
    assert facts["monitor_page"].startswith(str(pages))
    assert facts["devices"][0]["allocator"] == "mps"
    assert re.fullmatch(
        r"[\d.]+ GiB, 1\.00 of the recommended [\d.]+ GiB", facts["devices"][0]["memory_limit"]
    )


# -- the life of a page ---------------------------------------------------------------------------


def test_the_page_is_private_and_goes_with_its_process(pages: Path) -> None:
    with process("") as child:
        page = pages / str(child.pid)
        assert pages.stat().st_mode & 0o777 == 0o700
        assert page.stat().st_mode & 0o777 == 0o600
        assert [path.name for path in pages.iterdir()] == [page.name]
        child.communicate(timeout=60)  # ends by itself
        assert child.returncode == 0
        assert list(pages.iterdir()) == []


@pytest.mark.parametrize("who", ["reader", "writer"])
def test_what_a_crash_left_behind_is_removed(pages: Path, who: str) -> None:
    with process("") as child:
        page = pages / str(child.pid)
        do_not_answer = "os.kill(os.getpid(), signal.SIGKILL)\n"
        assert child.stdin is not None
        child.stdin.write(do_not_answer)
        child.stdin.flush()
        child.wait(60)
    assert page.exists()
    old = pages / ".4000001"  # one that was never finished, long ago
    old.write_bytes(b"")
    os.utime(old, (0, 0))
    young = pages / ".4000002"
    young.write_bytes(b"")
    other = pages / "notes.txt"
    other.write_text("not ours")
    if who == "reader":
        assert monitor_page.processes() == []
        assert sorted(p.name for p in pages.iterdir()) == [old.name, young.name, other.name]
    else:
        with process("") as next_one:
            names = {path.name for path in pages.iterdir()}
            assert names == {str(next_one.pid), young.name, other.name}


def test_a_process_whose_number_is_used_again_is_not_shown(pages: Path) -> None:
    """This very process has no lock on it, though it lives and has the number."""
    with process("") as child:
        copy = (pages / str(child.pid)).read_bytes()
    path = pages / str(os.getpid())
    path.write_bytes(copy)
    with pytest.raises(NoPageError):
        Page(os.getpid())
    assert monitor_page.processes() == []
    assert not path.exists()


def test_it_can_be_switched_off(pages: Path) -> None:
    with process("paddle.ones([3])", PADDLE_MPS_MONITOR="0") as child:
        assert not pages.exists()
        assert do(child, "print(repr(paddle_mps._C.monitor_page()))") == "''\n"
        ended = monitor(str(child.pid))
        assert ended.returncode == 1
        assert "PADDLE_MPS_MONITOR=0" in ended.stderr
    ended = monitor("--self", "--json", PADDLE_MPS_MONITOR="0")
    assert ended.returncode == 1
    assert "[monitor] this process shows nothing: expected a page, got none." in ended.stderr


def forbidden(pages: Path) -> Path:
    pages.mkdir()
    pages.chmod(0o777)
    return pages.parent


def a_file(pages: Path) -> Path:
    pages.write_text("")
    return pages.parent


def a_link(pages: Path) -> Path:
    elsewhere = pages.parent / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    pages.symlink_to(elsewhere)
    return pages.parent


def nowhere(pages: Path) -> Path:
    return pages.parent / "no" / "such" / "folder"


@pytest.mark.parametrize("world", [forbidden, a_file, a_link, nowhere])
def test_without_a_good_folder_there_is_no_page_and_nothing_fails(pages: Path, world: Any) -> None:
    temporary = world(pages)
    code = """
import paddle, paddle_mps
paddle.set_device("mps")
told["sum"] = float(paddle.ones([10]).sum())
told["page"] = paddle_mps._C.monitor_page()
"""
    told = tell(code, TMPDIR=str(temporary))
    assert told == {"sum": 10.0, "page": ""}
    loud = run_python(
        "-c", "told = {}" + code, TMPDIR=str(temporary), PADDLE_MPS_LOG="debug"
    ).stderr
    lines = [line for line in loud.splitlines() if "no monitor" in line]
    assert len(lines) == 1
    assert lines[0].startswith("paddle_mps debug: no monitor: ")
    quiet = run_python("-c", "told = {}" + code, TMPDIR=str(temporary)).stderr
    assert "no monitor" not in quiet


def test_a_full_disk_is_no_page_and_no_fault(tmp_path: Path) -> None:
    """/dev/full cannot be a folder; a limit of the process on files is the same to it."""
    told = tell(
        """
import os, resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
import paddle, paddle_mps
paddle.set_device("mps")
told["sum"] = float(paddle.ones([10]).sum())
told["page"] = paddle_mps._C.monitor_page()
told["left"] = [f for _, _, files in os.walk(os.environ["TMPDIR"]) for f in files]
"""
    )
    assert told == {"sum": 10.0, "page": "", "left": []}


@pytest.mark.parametrize("how", ["os.fork()", "multiprocessing"])
def test_a_forked_child_does_not_touch_its_parents_page(pages: Path, how: str) -> None:
    fork = {
        "os.fork()": "child = os.fork() or free_all()",
        "multiprocessing": "import multiprocessing; child = multiprocessing.get_context('fork')"
        ".Process(target=free_all); child.start(); child = child.pid",
    }
    code = """
kept = [paddle.full([1000], 1.0) for _ in range(10)]
read, write = os.pipe()
def free_all():
    kept.clear()
    os.write(write, json.dumps(paddle_mps._C.monitor_page()).encode())
    time.sleep(600)
"""
    with process(code) as parent, Page(parent.pid) as page:
        before = page.read().devices[0].figures
        assert before["block_count"] == 10
        child = int(do(parent, f"{fork[how]}; print(child)"))
        try:
            answer = json.loads(do(parent, "print(os.read(read, 1000).decode())"))
            assert answer == ""
            assert page.read().devices[0].figures == before
            assert [path.name for path in pages.iterdir()] == [str(parent.pid)]
            do(parent, "kept.append(paddle.full([1000], 1.0))")
            assert page.read().devices[0].figures["block_count"] == 11
            parent.kill()
            parent.wait(60)
            assert not page.is_alive()  # the child has no share in the lock
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_forked_child_that_ends_leaves_the_page(pages: Path) -> None:
    with process("") as parent:
        do(parent, "pid = os.fork() or sys.exit()")  # with all that Python does at exit
        do(parent, "os.waitpid(pid, 0)")
        assert (pages / str(parent.pid)).exists()


# -- bad input ------------------------------------------------------------------------------------


def test_a_process_that_shows_nothing_is_an_error_that_names_others() -> None:
    with process("") as child:
        ended = monitor(str(os.getpid()))
        assert ended.returncode == 1
        assert ended.stdout == ""
        assert (
            f"[monitor] process {os.getpid()} shows nothing: expected one of {child.pid}, got"
            in (ended.stderr)
        )
    ended = monitor("4000000", "--json")
    assert ended.returncode == 1
    assert "expected one of none, got no page in" in ended.stderr


@pytest.mark.parametrize(
    "change",
    [
        lambda page: b"xxxx" + page[4:],
        lambda page: page[:8] + b"\x63" + page[9:],
        lambda page: page[: len(page) // 2],
        lambda page: b"",
    ],
    ids=["magic", "version", "half", "empty"],
)
def test_a_page_of_another_version_is_an_error(pages: Path, change: Any) -> None:
    with process("") as child:
        page = (pages / str(child.pid)).read_bytes()
    path = pages / "4000000"
    path.write_bytes(change(page))
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        ended = monitor("4000000")
    assert ended.returncode == 1
    assert ended.stderr.startswith("[monitor] cannot read the page of process 4000000: expected ")
    assert "Traceback" not in ended.stderr


def test_a_link_is_not_followed(pages: Path, tmp_path: Path) -> None:
    pages.mkdir()
    (tmp_path / "secret").write_text("")
    (pages / "4000000").symlink_to(tmp_path / "secret")
    with pytest.raises(NoPageError, match="cannot open a page"):
        Page(4_000_000)
    assert monitor_page.processes() == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["12", "--self"], "expected a process or --self, got both"),
        (["12", "--interval", "0"], "expected an interval from 0.05 to 3600 seconds, got 0.0"),
        (["many"], "invalid int value: 'many'"),
    ],
)
def test_bad_arguments_are_refused(arguments: list[str], words: str) -> None:
    ended = monitor(*arguments)
    assert ended.returncode == 2
    assert words in ended.stderr


def test_without_a_terminal_it_says_what_to_pass() -> None:
    with process("") as child:
        ended = monitor(str(child.pid))
        assert ended.returncode == 1
        assert ended.stderr == (
            "[monitor] nowhere to draw: expected a terminal, got a file or a pipe. Pass --once or "
            "--json.\n"
        )


def test_without_rich_it_says_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "rich").mkdir()
    (tmp_path / "rich" / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'rich'\", name='rich')"
    )
    with process("") as child:
        path = f"{tmp_path}:{HERE}"
        ended = monitor(str(child.pid), "--once", PYTHONPATH=path)
        assert ended.returncode == 1
        assert ended.stderr == (
            "[monitor] rich is missing: expected it to be installed, got no module named rich. "
            "Install it: pip install 'paddle_mps[tools]'.\n"
        )
        assert monitor(str(child.pid), "--json", PYTHONPATH=path).returncode == 0


def test_looking_at_others_needs_no_paddle(tmp_path: Path) -> None:
    (tmp_path / "paddle").mkdir()
    (tmp_path / "paddle" / "__init__.py").write_text("raise SystemExit('Paddle was imported')")
    with process("") as child:
        ended = monitor(str(child.pid), "--once", PYTHONPATH=f"{tmp_path}:{HERE}")
        assert ended.returncode == 0, ended.stderr
        assert f"process {child.pid}" in ended.stdout
