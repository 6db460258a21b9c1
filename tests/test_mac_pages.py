"""What Mac owners are told to type, and what GitHub runs, as far as Linux can tell."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from child import run_python
from paddle_mps import _library

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PAGES = (ROOT / "MAC_CHECKLIST.md", ROOT / "docs" / "install_macos.md")


def workflow(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def jobs() -> list:
    return [
        pytest.param(name, job, id=f"{path.stem}-{name}")
        for path in WORKFLOWS
        for name, job in workflow(path)["jobs"].items()
    ]


def scripts(job: dict) -> list[str]:
    return [step["run"] for step in job["steps"] if "run" in step]


def is_hosted(job: dict) -> bool:
    return "self-hosted" not in job["runs-on"]


# -- workflows ------------------------------------------------------------------------------------


def test_there_are_two_workflows_that_may_only_read() -> None:
    assert [path.name for path in WORKFLOWS] == ["linux.yml", "macos.yml"]
    for path in WORKFLOWS:
        found = workflow(path)
        # YAML 1.1 takes the key "on" for true.
        assert set(found) == {"name", True, "permissions", "concurrency", "jobs"}
        assert found["permissions"] == {"contents": "read"}


@pytest.mark.parametrize(("name", "job"), jobs())
def test_a_job(name: str, job: dict) -> None:
    assert job["timeout-minutes"] > 0, "a hang must not run for hours"
    for step in job["steps"]:
        assert ("run" in step) != ("uses" in step), step
        assert re.fullmatch(r"actions/[\w-]+@v\d+", step.get("uses", "actions/x@v1"))
    for script in scripts(job):
        subprocess.run(["bash", "-n"], input=script, text=True, check=True, timeout=60)


@pytest.mark.parametrize(("name", "job"), jobs())
def test_what_a_job_runs_is_there(name: str, job: dict) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    versions = (ROOT / "requirements" / "build.txt").read_text(encoding="utf-8")
    versions += f"paddlepaddle=={_library.PADDLE_VERSION}\n"
    for script in scripts(job):
        for target in re.findall(r"\bmake ([\w-]+)", script):
            assert target in targets, script
        for path in re.findall(r"(?:^|\s)((?:\.ci|tools|requirements)/[\w./-]+)", script):
            assert (ROOT / path).exists(), script
        for pinned in re.findall(r"\w+==[\w.]+", script):
            assert f"{pinned}\n" in versions, f"{pinned} is another version elsewhere"


@pytest.mark.parametrize(("name", "job"), jobs())
def test_numbers_are_asked_of_real_macs_only(name: str, job: dict) -> None:
    """Virtual GPUs compute zeros; and a Mac of somebody's runs no pull request."""
    text = "\n".join(scripts(job))
    if is_hosted(job):
        if "macos" in str(job["runs-on"]) or "matrix" in str(job["runs-on"]):
            assert "--selftest" not in text and "make test" not in text
    else:
        assert "--selftest" in text
        assert "pull_request" in job["if"] and "!=" in job["if"]


# -- pages ----------------------------------------------------------------------------------------


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


def programs() -> list[str]:
    """What stands in python -c "..." on a line of its own and more."""
    return [p for b in blocks(PAGES[0]) for p in re.findall(r'python -c "\n(.*?)"', b, re.S)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_are_well_formed(page: Path) -> None:
    for block in blocks(page):
        subprocess.run(["bash", "-n"], input=block, text=True, check=True, timeout=60)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_options_and_variables_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    known = run_python("-m", "paddle_mps.info", "--help").stdout
    for line in re.findall(r"python -m paddle_mps\.info ?([^`\n|&]*)", text):
        for word in shlex.split(line):
            assert not word.startswith("--") or word in known, word
    table = (ROOT / "plugin" / "core" / "env.def").read_text(encoding="utf-8")
    for variable in re.findall(r"PADDLE_MPS_\w+", text):
        assert f'"{variable}"' in table, variable
    for path in re.findall(r"\]\(([^)#]+)", text):
        assert (page.parent / path).exists(), path


def test_the_version_of_paddle_is_the_one(tmp_path: Path) -> None:
    for page in PAGES:
        for version in re.findall(r"paddlepaddle-([\d.]+)-", page.read_text(encoding="utf-8")):
            assert version == _library.PADDLE_VERSION


@pytest.mark.usefixtures("mps")
@pytest.mark.parametrize("program", programs(), ids=lambda program: program.split(";")[0][:20])
def test_programs_of_the_checklist_run(program: str) -> None:
    """On the device of this machine, smaller and without the pauses."""
    small = program.replace("4096", "512").replace("[256, 1024", "[4, 1024").replace("(25)", "(0)")
    if "softmax" in small:  # has no kernel yet: the page says how that ends
        process = run_python("-c", small)
        assert "512" in process.stdout
        assert process.returncode == 0 or "softmax" in process.stderr
        return
    process = run_python("-c", small)
    assert process.returncode == 0, process.stderr
    assert re.search(r"\d", process.stdout)
