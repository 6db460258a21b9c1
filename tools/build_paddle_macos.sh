#!/bin/bash
# Builds a Paddle for Apple Silicon that can load plugins: Paddle's own macOS wheels are built without custom devices.
#
#   tools/build_paddle_macos.sh [--python python3.11] [--folder ~/paddle_build] [--jobs 8] [--check]
#
# Takes one to several hours and about 40 GB. May be interrupted and run again: it goes on where it was. --check only looks
# whether everything is there. The wheel lies in the folder at the end.
#
# THIS HAS NOT BEEN RUN ON A MAC. Its checks, its order and its going on were tried on Linux with stand-ins for the commands
# (tests/test_build_paddle_macos.py); whether Paddle compiles with these settings only a Mac can tell. Please report what
# happens. Written for the bash 3.2 that macOS has.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
version=$(sed -n 's/^paddlepaddle==\([0-9.]*\).*/\1/p' "$here/requirements/paddle.txt")
python=python3
folder=$HOME/paddle_build
jobs=
check_only=
least_gb=40
gb_per_job=2  # a compiler of Paddle's larger files takes as much

say() { echo "[paddle] $*"; }
fail() { echo "[paddle] $*" >&2; exit 1; }

usage() { sed -n '2,7s/^# \{0,1\}//p' "$0"; }

value() {  # value --option "$#" next: the value of an option
  [ "$2" -ge 2 ] || fail "$1 lacks its value: expected one behind it, got none. See --help."
  echo "$3"
}

while [ $# -gt 0 ]; do
  case $1 in
    --python) python=$(value "$1" $# "${2:-}"); shift ;;
    --folder) folder=$(value "$1" $# "${2:-}"); shift ;;
    --jobs) jobs=$(value "$1" $# "${2:-}"); shift ;;
    --check) check_only=1 ;;
    -h|--help) usage; exit 0 ;;
    *) fail "no such option: expected --python, --folder, --jobs or --check, got $1. See --help." ;;
  esac
  shift
done

# -- what is needed ----------------------------------------------------------------------------------------------------

check_machine() {
  [ "$(uname -s)" = Darwin ] || fail "wrong system: expected macOS, got $(uname -s). On Linux install Paddle with pip: its wheels have custom devices."
  # A terminal that runs under Rosetta calls the machine x86_64, and would build for it.
  [ "$(uname -m)" = arm64 ] || fail "wrong processor: expected arm64, got $(uname -m). On Apple Silicon start a terminal without Rosetta."
  local macos
  macos=$(sw_vers -productVersion)
  [ "${macos%%.*}" -ge 12 ] || fail "macOS is too old: expected 12.0 or newer, got $macos. Update it."
  say "macOS $macos, $(uname -m)"
}

check_tools() {
  xcode-select -p >/dev/null 2>&1 || fail "no compiler: expected Xcode's command line tools, got none. Run: xcode-select --install."
  xcrun --find clang++ >/dev/null 2>&1 || fail "no compiler: expected clang++ from xcrun, got none. Run: xcode-select --install; after an update of macOS perhaps also: sudo xcodebuild -license accept."
  local name
  for name in git make; do
    command -v "$name" >/dev/null || fail "$name is missing: expected it on the PATH. Run: xcode-select --install."
  done
  say "compiler: $(xcrun --find clang++)"
}

check_python() {
  command -v "$python" >/dev/null || fail "no Python: expected $python on the PATH, got none. Install one (brew install python@3.11) and name it: --python python3.11."
  local found
  found=$("$python" -c 'import os, platform, sys, sysconfig
print("%d.%d" % sys.version_info[:2], platform.machine(), os.path.exists(sysconfig.get_path("include") + "/Python.h"))') \
    || fail "$python does not run: expected its version, got an error. Install it again."
  # shellcheck disable=SC2086  # three words without blanks
  set -- $found
  case $1 in
    3.9|3.10|3.11|3.12|3.13) ;;
    *) fail "wrong Python: expected 3.9 to 3.13, got $1 from $python. Name another: --python python3.11." ;;
  esac
  [ "$2" = arm64 ] || fail "wrong Python: expected one for arm64, got one for $2 from $python. Install one for Apple Silicon."
  [ "$3" = True ] || fail "$python lacks its C headers: expected Python.h, got none. Install Python from python.org or with brew."
  py_version=$1
  say "Python $py_version ($(command -v "$python"))"
}

check_disk() {
  mkdir -p "$folder"
  local free_kb
  free_kb=$(df -Pk "$folder" | awk 'NR == 2 {print $4}')
  # What a run before this one has already filled counts as there.
  local used_kb
  used_kb=$(du -sk "$folder" | awk '{print $1}')
  local gb=$(((free_kb + used_kb) / 1048576))
  [ $gb -ge $least_gb ] || fail "not enough room: expected $least_gb GB on the disk of $folder, got $gb. Make room or name another: --folder /Volumes/large/paddle_build."
  say "disk: $gb GB"
}

choose_jobs() {
  if [ -z "$jobs" ]; then
    local cores memory_gb
    cores=$(sysctl -n hw.ncpu)
    memory_gb=$(($(sysctl -n hw.memsize) / 1073741824))
    jobs=$((memory_gb / gb_per_job < cores ? memory_gb / gb_per_job : cores))
    [ $jobs -ge 1 ] || jobs=1
  fi
  case $jobs in
    ''|*[!0-9]*|0) fail "wrong number of jobs: expected 1 or more, got $jobs. Correct --jobs." ;;
  esac
  say "compilers at once: $jobs"
}

# -- the steps; each leaves a note when it is done ---------------------------------------------------------------------

step() {
  local note="$folder/done-$1-$version-$py_version"
  if [ -e "$note" ]; then
    say "$1: done before"
    return
  fi
  say "$1"
  "step_$1"
  touch "$note"
}

step_source() {
  if [ ! -e "$source/.git" ]; then
    rm -rf "$source.fresh"
    git clone --depth 1 --branch "v$version" https://github.com/PaddlePaddle/Paddle.git "$source.fresh"
    mv "$source.fresh" "$source"
  fi
  # Its cmake files do this too, but here an interrupted download can go on.
  git -C "$source" submodule update --init --recursive --depth 1
}

step_environment() {
  rm -rf "$env"
  "$python" -m venv "$env"
  "$env/bin/python" -m pip install --quiet --upgrade pip
  # cmake 4 refuses the old cmake files of some libraries that Paddle builds. The others: what its build runs.
  "$env/bin/python" -m pip install --quiet 'cmake>=3.19.2,<4' setuptools wheel pyyaml jinja2 'pybind11-stubgen>=2.5.1'
  "$env/bin/python" -m pip install --quiet -r "$source/python/requirements.txt"
}

step_configure() {
  mkdir -p "$build"
  "$env/bin/cmake" -S "$source" -B "$build" \
    -DCMAKE_BUILD_TYPE=Release \
    -DPY_VERSION="$py_version" \
    -DPYTHON_EXECUTABLE="$env/bin/python" \
    -DPYTHON_INCLUDE_DIR="$("$env/bin/python" -c 'import sysconfig; print(sysconfig.get_path("include"))')" \
    -DWITH_CUSTOM_DEVICE=ON \
    -DWITH_ARM=ON \
    -DWITH_AVX=OFF \
    -DWITH_GPU=OFF \
    -DWITH_TESTING=OFF
}

step_compile() {
  ulimit -n 4096 2>/dev/null || say "could not raise the limit of open files; linking may complain"
  # TARGET is for OpenBLAS, which is built on the way.
  make -C "$build" TARGET=ARMV8 -j "$jobs"
}

find_wheel() { find "$build/python/dist" -name 'paddlepaddle-*.whl' 2>/dev/null | head -n 1; }

step_wheel() {
  local wheel
  wheel=$(find_wheel)
  [ -n "$wheel" ] || fail "no wheel: expected one in $build/python/dist, got none. Read the end of the compilation; then remove $folder/done-compile-* and run again."
  # Paddle's build ignores switches that it does not know: believe its header, not our wish.
  "$python" - "$wheel" "$version" <<'END' || fail "the wheel is not what was asked for; the line above says why. Remove $build and $folder/done-* and run again."
import re, sys, zipfile
wheel, version = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    text = archive.read("paddle/include/paddle/phi/config.h").decode()
    found = archive.read("paddle/version/__init__.py").decode()
switch = re.search(r"// WITH_CUSTOM_DEVICE\s+#if (\w+)", text)
if not switch or switch[1] != "ON":
    sys.exit("[paddle] custom devices: expected ON in phi/config.h, got %s" % (switch and switch[1]))
if "'%s'" % version not in found:
    sys.exit("[paddle] version: expected %s, got %s" % (version, found.splitlines()[0]))
END
  cp "$wheel" "$folder/"
}

check_machine
check_tools
check_python
check_disk
choose_jobs
[ -z "$check_only" ] || { say "everything is there to build Paddle $version"; exit 0; }

source=$folder/Paddle-$version
build=$folder/build-$py_version
env=$folder/env-$py_version
export PADDLE_VERSION=$version  # else its build asks git, and a shallow clone may not know
PATH=$env/bin:$PATH             # its build calls python, cmake and protoc by name

for name in source environment configure compile wheel; do
  step $name
done
wheel=$(find_wheel)
say "done: $folder/${wheel##*/}"
say "next: python -m pip install $folder/${wheel##*/}, then docs/install_macos.md, step 3"
