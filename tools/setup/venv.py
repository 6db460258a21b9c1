"""Make, repair or complete the project's own Python environment.

    python3 tools/setup/venv.py [--venv .venv] lint|macos|all

Running it again is always right: it takes 0.1 s when nothing has changed, and whatever an
interrupted run left behind is noticed and made anew. PYTHON=python3.12 in the environment chooses
the interpreter; without it the first fitting one is taken.

No newer syntax than Python 3.6's: a Python that is too old should still say so in a sentence.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys

import debian_headers

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OLDEST, NEWEST = (3, 9), (3, 13)  # those that Paddle has wheels for
SPAN = f"{OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}"
OLDEST_GCC = 11
# Used only where neither ensurepip nor pip is there to begin with.
BOOTSTRAP_PIP = "25.2"
GROUPS = {
    "lint": ["lint.txt"],
    "macos": ["build.txt", "macos.txt"],
    "all": ["build.txt", "paddle.txt", "test.txt", "lint.txt"],
}
PROBE = """
import json, os, sys, sysconfig
header = os.path.join(sysconfig.get_path("include"), "Python.h")
print(json.dumps([sys.version_info[:2], sys.executable, os.path.exists(header)]))
"""
# Runs pip from its own wheel, to install itself. The simple index, because every mirror has it.
DOWNLOAD_PIP = f"""
import hashlib, os, re, runpy, sys, urllib.parse, urllib.request
index = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/") + "/pip/"
page = urllib.request.urlopen(index, timeout=60).read().decode()
name = "pip-{BOOTSTRAP_PIP}-py3-none-any.whl"
link = re.search('href="([^"]*/' + re.escape(name) + ')#sha256=([0-9a-f]+)', page)
data = urllib.request.urlopen(urllib.parse.urljoin(index, link[1]), timeout=60).read()
assert hashlib.sha256(data).hexdigest() == link[2]
path = sys.prefix + "/" + name
with open(path, "wb") as wheel:
    wheel.write(data)
sys.path.insert(0, path)
sys.argv = ["pip", "install", "--quiet", "--no-index", path]
runpy.run_module("pip", run_name="__main__")
"""


def say(text):
    """Tell what takes long."""
    print("[set-up] " + text, flush=True)


def answer(command, limit_s=60):
    """Give what the command prints, or None if it cannot be run or fails."""
    try:
        process = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=limit_s, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return process.stdout.decode()


def probe(python):
    """Give version, path and presence of C headers of an interpreter, or None."""
    text = answer([python, "-c", PROBE])
    return json.loads(text) if text else None


def choose_python(headers_needed):
    """Find the interpreter to build the environment with."""
    asked = os.environ.get("PYTHON")
    minors = range(NEWEST[1], OLDEST[1] - 1, -1)
    names = [asked] if asked else ["python3"] + [f"python3.{minor}" for minor in minors]
    seen = []
    without_headers = None
    for name in names:
        found = probe(name)
        if found is None:
            continue
        version, path, headers = found
        seen.append(f"{name} ({version[0]}.{version[1]})")
        if not OLDEST <= tuple(version) <= NEWEST:
            continue
        if headers or not headers_needed:
            return path
        without_headers = without_headers or name
    if without_headers and shutil.which("apt-get"):
        return probe(without_headers)[1]  # Environment.complete() fetches them
    if without_headers:
        sys.exit(
            f"[set-up] {without_headers} lacks its C headers: expected Python.h, got none. Install "
            "them (Fedora: python3-devel), or name another Python: make PYTHON=python3.12."
        )
    sys.exit(
        f"[set-up] no usable Python: expected {SPAN}, got {', '.join(seen) or 'none'}. "
        "Install one of them, or name it: make PYTHON=python3.12."
    )


def check_compiler():
    """Insist on g++ 11 or newer, or a clang."""
    if sys.platform == "darwin":
        if answer(["xcrun", "--find", "clang++"]) is None:
            sys.exit("[set-up] no compiler: expected Apple's clang. Run: xcode-select --install.")
        return
    name = os.environ.get("CXX") or shutil.which("c++") or "g++"
    if "clang" in (answer([*name.split(), "--version"]) or ""):
        return
    version = answer([*name.split(), "-dumpfullversion", "-dumpversion"])
    if version and int(re.match(r"\d+", version).group()) >= OLDEST_GCC:
        return
    found = f"{name} {version.strip()}" if version else f"no {name}"
    advice = "Install it (Debian, Ubuntu: apt-get install g++)."
    for major in range(20, OLDEST_GCC - 1, -1):
        if shutil.which(f"g++-{major}"):
            advice = f"Use the one that is there: make CXX=g++-{major}."
            break
    sys.exit(
        f"[set-up] no usable compiler: expected g++ {OLDEST_GCC} or newer, got {found}. {advice}"
    )


class Environment:
    """The folder .venv, with notes in it about what has been done to it."""

    def __init__(self, folder):
        self.folder = os.path.abspath(folder)
        self.python = os.path.join(self.folder, "bin", "python")

    def note(self, name):
        return os.path.join(self.folder, "paddle_mps_" + name)

    def read(self, name):
        try:
            with open(self.note(name)) as file:
                return file.read()
        except OSError:
            return None

    def write(self, name, text):
        with open(self.note(name), "w") as file:
            file.write(text)

    def trouble(self):
        """Tell why the folder has to be made anew; None if it is fine."""
        if self.read("installing") is not None:
            return "an installation was interrupted"
        # Of a folder without our note we know nothing; there pip, too, must run.
        noted = self.read("made") is not None
        command = [self.python, "-c", PROBE] if noted else [self.python, "-m", "pip", "--version"]
        if answer(command) is None:
            return "its Python or pip does not run"
        if self.read("made") not in (None, self.folder):
            return "it was made in another place"
        return None

    def make(self, headers_needed):
        """Make the folder anew."""
        python = choose_python(headers_needed)
        say(f"making {os.path.relpath(self.folder, ROOT)} with {python}")
        shutil.rmtree(self.folder, ignore_errors=True)
        if answer([python, "-m", "venv", self.folder], 300) is None:
            self.make_without_ensurepip(python)
        self.write("made", self.folder)

    def make_without_ensurepip(self, python):
        """Do what Debian's python3 cannot until python3-venv is installed, which needs root."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if answer([python, "-m", "venv", "--without-pip", self.folder], 300) is not None:
            # Pip installs into another environment (from 22.3 on), or into itself.
            if answer([python, "-m", "pip", "--python", self.python, "install", "pip"], 300):
                return
            if answer([self.python, "-c", DOWNLOAD_PIP], 300) is not None:
                return
        shutil.rmtree(self.folder, ignore_errors=True)
        if answer([python, "-m", "virtualenv", self.folder], 300) is not None:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        sys.exit(
            f"[set-up] {python} cannot make an environment: expected its modules venv and "
            "ensurepip, got neither these nor pip nor a network to fetch it from. Install them "
            "(Debian, Ubuntu: apt-get install python3-venv)."
        )

    def add_headers(self, version):
        """Fetch Python's C headers into the environment if the system does not have them."""
        if not debian_headers.fetch(self.note("headers"), version):
            sys.exit(
                f"[set-up] Python {version[0]}.{version[1]} lacks its C headers: expected Python.h "
                "or a package with it, got neither. Install them (Debian, Ubuntu: apt-get install "
                "python3-dev), or name another Python: make PYTHON=python3.12."
            )

    def complete(self, group):
        """Install what the group lists, unless it has been."""
        paths = [os.path.join(ROOT, "requirements", name) for name in GROUPS[group]]
        packages = [word for path in paths for word in ("-r", path)]
        digest = hashlib.sha256()
        for path in paths:
            with open(path, "rb") as file:
                digest.update(file.read())
        wheel = os.environ.get("PADDLE_WHEEL")  # a Paddle of the user's own, as macOS needs
        if wheel and group == "all":
            packages.append(wheel)
            digest.update(wheel.encode())
        if self.read(group) == digest.hexdigest():
            return
        say(f"installing Python packages ({group}); the first time takes a minute")
        self.write("installing", "")
        command = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        status = subprocess.call([*command, *packages], cwd=ROOT, timeout=3600)
        # Where pip itself gives up it has installed nothing: it finds and fetches everything first.
        os.remove(self.note("installing"))
        if status != 0:
            sys.exit(
                "[set-up] pip could not install the packages: expected those of requirements/, got "
                "the errors above. Check the network and run again."
            )
        self.write(group, digest.hexdigest())


def main():
    """Check the tools, then bring the environment up to date."""
    if sys.version_info < (3, 6):  # noqa: UP036  see the top of this file
        sys.exit(f"[set-up] Python is too old: expected {SPAN}, got {platform.python_version()}.")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--venv", default=os.path.join(ROOT, ".venv"))
    parser.add_argument("group", choices=sorted(GROUPS))
    options = parser.parse_args()
    everything = options.group == "all"
    if everything:
        check_compiler()

    environment = Environment(options.venv)
    # In a shell where it is activated it comes first, and it cannot be made from itself.
    own = os.path.dirname(environment.python)
    places = os.environ.get("PATH", "").split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join(p for p in places if os.path.abspath(p) != own)
    if not os.path.exists(environment.folder):
        environment.make(everything)
    else:
        trouble = environment.trouble()
        if trouble:
            say(f"making {options.venv} again: {trouble}")
            environment.make(everything)

    version, _, headers = probe(environment.python)
    asked = os.environ.get("PYTHON")
    wanted = (probe(asked) or [version])[0] if asked else version
    if wanted != version or not OLDEST <= tuple(version) <= NEWEST:
        sys.exit(
            f"[set-up] {options.venv} does not fit: expected Python {asked or SPAN}, got "
            f"{version[0]}.{version[1]}. Remove it (make clean), or keep it and use another "
            "folder: make VENV=.venv-2."
        )
    if everything and not headers:
        environment.add_headers(version)
    environment.complete(options.group)


if __name__ == "__main__":
    main()
