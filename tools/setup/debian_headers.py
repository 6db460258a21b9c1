"""Fetch Python's C headers where the system's python3 came without them, without root.

Debian and Ubuntu keep them in a package of their own (libpython3.11-dev). apt can download it for
any user and dpkg can unpack it anywhere, so a user without root can build the extension, too.
"""

import os
import shutil
import subprocess
import tempfile


def fetch(folder, version):
    """Unpack the headers of the system's Python into the folder; True if they are there then."""
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
        for commands in (
            [["apt-get", "download", package]],
            [["apt-get", *own, "update"], ["apt-get", *own, "download", package]],
        ):
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
