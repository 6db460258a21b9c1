"""Fetch Python's C headers where the system's python3 came without them, without root.

Debian and Ubuntu keep them in a package of their own (libpython3.11-dev). apt can download it for
any user and dpkg can unpack it anywhere, so a user without root can build the extension, too.
"""

import os
import shutil
import subprocess
import tempfile

DEBIAN_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"


def fetch(folder, version, release=None):
    """Unpack the headers of the system's Python into the folder; True if they are there then.

    With a Debian release ("trixie"), those of that release's Python, of which nothing is installed.
    """
    package = f"libpython{version[0]}.{version[1]}-dev"
    if header_folder(folder, version):
        return True
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return False
    with tempfile.TemporaryDirectory(dir=os.path.dirname(folder), prefix="headers-") as temp:
        # A system without package lists (containers, mostly) gets lists of our own.
        lists = os.path.join(temp, "lists")
        own = ["-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={temp}/cache"]
        for directory in (lists, f"{temp}/cache/archives"):
            os.makedirs(os.path.join(directory, "partial"))
        fresh = os.path.join(temp, "fresh")
        ways = [
            [["apt-get", "download", package]],
            [["apt-get", *own, "update"], ["apt-get", *own, "download", package]],
        ]
        if release is not None:
            sources = os.path.join(temp, "sources.list")
            if not _write_sources(sources, release):
                return False
            own += ["-o", f"Dir::Etc::SourceList={sources}", "-o", "Dir::Etc::SourceParts=-"]
            ways = [[["apt-get", *own, "update"], ["apt-get", *own, "download", package]]]
        for commands in ways:
            if not all(_run(command, temp) for command in commands):
                continue
            for name in os.listdir(temp):
                if name.endswith(".deb") and _run(["dpkg-deb", "-x", name, fresh], temp):
                    os.rename(fresh, folder)
                    return header_folder(folder, version) is not None
    return False


def header_folder(folder, version):
    """Give the folder that holds Python.h below an unpacked package, or None."""
    found = os.path.join(folder, "usr", "include", f"python{version[0]}.{version[1]}")
    return found if os.path.exists(os.path.join(found, "Python.h")) else None


def _write_sources(path, release):
    """Name another release of the Debian that this system gets its packages from."""
    if not os.path.exists(DEBIAN_KEYS):
        return False
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Origin: Debian"]
    try:
        text = subprocess.run(command, capture_output=True, timeout=60, check=True).stdout.decode()
    except (OSError, subprocess.SubprocessError):
        return False
    places = [line for line in text.split() if "security" not in line]
    if not places:
        return False
    with open(path, "w") as file:
        file.write(f"deb [signed-by={DEBIAN_KEYS}] {places[0]} {release} main\n")
    return True


def _run(command, folder):
    try:
        process = subprocess.run(
            command,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=300,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return process.returncode == 0
