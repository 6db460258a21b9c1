# What a developer types. Everything stays inside this folder (.venv, build); nothing needs root.
# Any command may be interrupted and run again.

PYTHON ?=
VENV ?= .venv
TEST_JOBS ?= 2
TESTS ?= tests
PYTEST_ARGS ?=
BENCH ?= ops dispatch memory copies
DEMO_ARGS ?= --device mps
SOAK_ARGS ?=
FUZZ ?= --seconds 60

PY := $(VENV)/bin/python
# A second environment (make VENV=.venv-3.12) gets a build folder of its own.
BUILD := build/dev$(patsubst .venv%,%,$(notdir $(VENV)))
NATIVE := $(PY) tools/setup/native.py

PYTHON_HEADERS ?=
MPS_SKIP_MACOS ?=
MPS_GTEST_SOURCE ?=
export PYTHON PYTHON_HEADERS MPS_SKIP_MACOS MPS_GTEST_SOURCE
# A run must not depend on what the user's shell happens to be set to.
unexport PYTHONPATH PYTHONHOME CUSTOM_DEVICE_ROOT

DOUBLE_ARGS ?=

.PHONY: help setup setup-lint setup-macos build macos-wheel demo test test-fast test-cpp test-double lint format bench soak fuzz sanitize clean

help:
	@echo "make macos-wheel  build the wheels for arm64 macOS on Linux, into dist"
	@echo "make demo      train a small network on the mps device"
	@echo "make build     build the plugin and install it into $(VENV); only what changed is compiled"
	@echo "make test      all tests: C++ (needs GoogleTest), then Python; on Linux of the macOS wheels too (MPS_SKIP_MACOS=1: not)"
	@echo "make test-fast  about a tenth of the tests, in three minutes on two cores"
	@echo "make test-cpp  the C++ tests alone"
	@echo "make test-double  plugin/metal on a test double of Apple's frameworks (needs clang-19, libgnustep-base-dev)"
	@echo "make lint      formatters, linters, include arrows"
	@echo "make format    let the formatters repair what they can"
	@echo "make bench     benchmarks, side by side with Paddle on the CPU (BENCH=ops)"
	@echo "make soak      everything at once for ten minutes, and nothing may grow (SOAK_ARGS='--seconds 60')"
	@echo "make fuzz      random programs against NumPy and Paddle on the CPU, for a minute (FUZZ='--programs 10000')"
	@echo "make sanitize  C++ tests under ASan and UBSan, then under TSan"
	@echo "make clean     remove $(VENV), build and caches"
	@echo "Options: PYTHON=python3.12 (3.9 to 3.13)  VENV=.venv-2  CXX=g++-12  TESTS=tests/test_ops.py PYTEST_ARGS='-k matmul'"

setup:
	@command -v $(or $(PYTHON),python3) >/dev/null || \
	  { echo "[set-up] $(or $(PYTHON),python3) is missing: expected Python 3.9 to 3.13. Install it, or name one: make PYTHON=..."; exit 1; }
	@$(or $(PYTHON),python3) tools/setup/venv.py --venv $(VENV) all

setup-lint:
	@command -v $(or $(PYTHON),python3) >/dev/null || \
	  { echo "[set-up] $(or $(PYTHON),python3) is missing: expected Python 3.9 to 3.13. Install it, or name one: make PYTHON=..."; exit 1; }
	@$(or $(PYTHON),python3) tools/setup/venv.py --venv $(VENV) lint

setup-macos:
	@command -v $(or $(PYTHON),python3) >/dev/null || \
	  { echo "[set-up] $(or $(PYTHON),python3) is missing: expected Python 3.9 to 3.13. Install it, or name one: make PYTHON=..."; exit 1; }
	@$(or $(PYTHON),python3) tools/setup/venv.py --venv $(VENV) macos

build: setup
	@$(NATIVE) --folder $(BUILD) --develop

# Wheels for macOS, built on Linux. Nothing is run on a Mac.
macos-wheel: setup-macos
	@$(PY) tools/macos_wheel/build.py

demo: build
	$(PY) examples/train_digits.py $(DEMO_ARGS)

# MPS_SKIP_MACOS=1: for machines without a network, where zig and Paddle for macOS cannot be fetched.
ifeq ($(shell uname -s)$(filter-out 0,$(MPS_SKIP_MACOS)),Linux)
test: macos-wheel
endif
test: build
	@$(MAKE) --no-print-directory run-cpp-tests
	$(PY) -m pytest $(TESTS) -n $(TEST_JOBS) $(PYTEST_ARGS)

test-fast: build
	$(PY) -m pytest tests --fast -n $(TEST_JOBS) $(PYTEST_ARGS)

test-cpp: setup
	@$(NATIVE) --folder $(BUILD) --tests
	@$(MAKE) --no-print-directory run-cpp-tests

# plugin/metal itself, on Linux: tests/apple_double/README.md. In a build folder of its own; nothing is installed.
test-double: setup
	@$(NATIVE) --folder build/double -D MPS_APPLE_DOUBLE=ON
	$(VENV)/bin/ctest --test-dir build/double --output-on-failure --timeout 600 -j $(TEST_JOBS) -L double
	$(PY) -m pytest -q -p no:cacheprovider tests/apple_double/mutants.py -n $(TEST_JOBS)
	$(PY) tests/apple_double/suite.py --build build/double --jobs $(TEST_JOBS) $(DOUBLE_ARGS)

.PHONY: run-cpp-tests
run-cpp-tests:
	@if [ -d $(BUILD)/tests/cpp ]; then \
	  $(VENV)/bin/ctest --test-dir $(BUILD) --output-on-failure --timeout 600 -j $(TEST_JOBS); \
	else \
	  echo; echo "*** GoogleTest is missing: THE C++ TESTS WERE NOT RUN. (Debian, Ubuntu: apt-get install libgtest-dev)"; echo; \
	fi

lint: setup-lint
	@$(PY) tools/lint.py

format: setup-lint
	@$(PY) tools/lint.py --fix

bench: build
	@for name in $(BENCH); do $(PY) benchmarks/$$name.py || exit 1; done

soak: build
	$(PY) tests/soak $(SOAK_ARGS)

fuzz: build
	$(PY) tests/fuzz $(FUZZ)

# Without oneDNN under TSan: OpenMP's own synchronisation is invisible to it, so every parallel loop would be reported.
sanitize: setup
	@$(NATIVE) --folder build/asan -D MPS_BUILD_PLUGIN=OFF -D "MPS_SANITIZE=address;undefined"
	$(VENV)/bin/ctest --test-dir build/asan --output-on-failure --timeout 1200
	@$(NATIVE) --folder build/tsan -D MPS_BUILD_PLUGIN=OFF -D MPS_SANITIZE=thread -D MPS_ONEDNN=OFF
	$(VENV)/bin/ctest --test-dir build/tsan --output-on-failure --timeout 1200

clean:
	rm -rf $(VENV) build dist python/*.egg-info python/paddle_mps/lib python/paddle_mps/_C*.so \
	  python/paddle_mps/selftest/mps_conformance_* .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
