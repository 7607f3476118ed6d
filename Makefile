# `make` lists the targets. Everything goes into .venv; nothing outside this folder is changed.

PYTHON ?= python3
# On Linux, PyPI's torch brings CUDA (about 3 GB). For a small one, give the index of PyTorch's CPU builds: make demo TORCH_INDEX=https://...
TORCH_INDEX ?=

VENV := .venv
BIN := $(VENV)/bin
TORCH := $(shell sed -n '/^torch==/p' constraints.txt)

# Rendering without a screen; ROS 2 stays on this computer, away from robots and from other people's tests.
export MUJOCO_GL ?= egl
export ORT_DISABLE_TELEMETRY ?= 1
export ROS_AUTOMATIC_DISCOVERY_RANGE ?= LOCALHOST
export CYCLONEDDS_URI ?= $(shell $(PYTHON) -c 'from bridge.isolation import LOOPBACK_CYCLONE; print(LOOPBACK_CYCLONE)')
ifndef ROS_DOMAIN_ID
export ROS_DOMAIN_ID := $(shell $(PYTHON) -c 'import random; print(random.randint(1, 100))')
endif

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast lint types format bench pictures install wheel clean check-egl

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.demo check-egl ## train, distill, export, check and run a policy over ROS 2; ends with a report and a video
	$(BIN)/robolearn demo

test: $(VENV)/.dev check-egl ## the whole test suite: what keeps time alone, the rest side by side
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m "not alone" -n 2 --dist loadfile; side=$$?; \
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m alone && exit $$side

test-fast: $(VENV)/.dev ## the tests that are not marked slow
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m "not slow"

lint: $(VENV)/.dev ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev ## pyright (fetches itself from npm at first use)
	$(BIN)/pyright

format: $(VENV)/.dev ## put the code into its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev ## all benchmarks, JSON into runs/bench/
	@mkdir -p runs/bench
	$(BIN)/python -m benchmarks.rivals || echo "without rsl_rl"
	for name in sim train policy loop; do $(BIN)/robolearn bench $$name --json runs/bench/$$name.json || exit 1; done

pictures: $(VENV)/.dev check-egl ## the pictures of the README and of docs/viewing.md, of the shipped policies as they are
	$(BIN)/robolearn play g1-velocity --out docs/pictures/g1.webp
	$(BIN)/robolearn play go1-velocity --out docs/pictures/go1.webp
	$(BIN)/python -m tests.live_picture docs/pictures/live.webp -- g1-velocity --command 0.6 0 0.4

install: $(VENV)/.dev ## make .venv with everything

wheel: ## dist/*.whl, to install on a robot's computer
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "robolearn needs Python 3.11 or newer; give one with make PYTHON=...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@rm -rf build dist
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps -w dist .
	@rm -rf build *.egg-info
	@wheel=$$(ls $(CURDIR)/dist/*.whl); echo "made $$wheel"; \
		echo "install it with: pip install '$$wheel'        (an extra: pip install '$$wheel[unitree]')"

# The environment is made again only when what it is made from changes.
$(VENV)/.demo: pyproject.toml setup.py constraints.txt
	$(call INSTALL,train$(,)ros$(,)data)
	@touch $@

$(VENV)/.dev: pyproject.toml setup.py constraints.txt
	$(call INSTALL,train$(,)ros$(,)warp$(,)drake$(,)sb3$(,)view$(,)data$(,)mocap$(,)dev)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt cyclonedds
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps unitree-sdk2py-dimos # not its second OpenCV
	@touch $@ $(VENV)/.demo

, := ,
define INSTALL
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "robolearn needs Python 3.11 or newer; give one with make PYTHON=...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip uninstall --quiet --yes robolearn 2>/dev/null || true # as this project was called; the name is somebody else's
	@echo "installing the packages of constraints.txt into $(VENV) (some minutes at first)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) $(TORCH)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(1)]'
endef

check-egl:
	@if [ "$(MUJOCO_GL)" = egl ]; then $(PYTHON) -c 'import ctypes; ctypes.CDLL("libEGL.so.1"); ctypes.CDLL("libOpenGL.so.0")' 2>/dev/null || { \
		echo "Rendering without a screen needs EGL, which this computer lacks. On Debian and Ubuntu, as root:"; \
		echo "    apt-get install libegl1 libopengl0 libgl1-mesa-dri"; exit 1; }; fi

clean: ## remove the environment, caches and build outputs (runs/ stays)
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .hypothesis .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
