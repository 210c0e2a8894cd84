# `make demo` and `make test` start from nothing but python3 and make. `make venv` builds only the environment.

PYTHON ?= python3
TORCH := 2.13.0
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu
BIN := .venv/bin
CONSTRAINTS := constraints.txt
INSTALL := -m pip --disable-pip-version-check install --quiet
PIP := $(BIN)/python $(INSTALL) --constraint $(CONSTRAINTS)
WHEEL_PIP := build/wheel/bin/python $(INSTALL) --constraint $(CONSTRAINTS)

.PHONY: demo test test-all venv lint format builtin docs dist bench-speed bench-similarity clean

# The audit of the built-in network, and beside it one whose pictures lie; meanwhile, on another core, the theory's pages
# and a network whose structure makes pictures tell more. What these have to say goes to demo/meanwhile.log.
demo: venv
	@mkdir -p demo
	set -e; \
	{ $(BIN)/snellen theory --out demo/theory && \
	  $(BIN)/snellen structure compare --quick --structure lipschitz --steps 60 --out demo/structures; } \
	  > demo/meanwhile.log 2>&1 & meanwhile=$$!; \
	$(BIN)/snellen audit builtin --out demo; \
	$(BIN)/snellen deceive builtin --out demo/deceiving; \
	$(BIN)/snellen audit demo/deceiving --units "classifier:*" --out demo/deceived; \
	wait $$meanwhile || { cat demo/meanwhile.log; exit 1; }
	$(BIN)/snellen report demo --beside demo/deceived
	@echo "Open $(CURDIR)/demo/index.html"

test: venv lint
	$(BIN)/python -m pytest -m "not slow" -n auto

test-all: venv lint
	$(BIN)/python -m pytest -n auto

venv: .venv/ready

# The CPU build of PyTorch first, so that nothing later asks for the one with CUDA.
define install_torch
	$(1) "torch==$(TORCH)+cpu" 2>/dev/null \
	  || $(1) "torch==$(TORCH)+cpu" --extra-index-url $(TORCH_CPU_INDEX) 2>/dev/null \
	  || $(1) "torch==$(TORCH)"
endef

.venv/ready: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv .venv
	$(call install_torch,$(PIP))
	$(PIP) --requirement requirements-dev.txt --editable .
	$(PIP) --no-deps torchvision timm
	touch $@

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: venv
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The site, with its notebooks executed; a warning or a dead link is an error.
docs: .venv/docs-ready
	rm -rf build/docs
	$(BIN)/python -m sphinx -W --keep-going -b html docs build/docs
	@echo "Open $(CURDIR)/build/docs/index.html"

.venv/docs-ready: .venv/ready requirements-docs.txt
	$(PIP) --requirement requirements-docs.txt
	touch $@

# Wheel and sdist, their metadata checked; the wheel is installed where no development file is, and audits from there.
dist:
	rm -rf dist build/dist
	$(PYTHON) -m venv build/dist
	build/dist/bin/python $(INSTALL) build twine
	build/dist/bin/python -m build --outdir dist .
	build/dist/bin/python -m twine check --strict dist/*
	rm -rf build/wheel
	$(PYTHON) -m venv build/wheel
	$(call install_torch,$(WHEEL_PIP))
	$(WHEEL_PIP) dist/*.whl
	cd build/wheel && bin/snellen --version && bin/snellen audit builtin --quick --out run && bin/snellen plugins > /dev/null
	@ls -l dist | awk 'NR > 1 {print $$9, $$5, "bytes"}'

# Trains the built-in network again, from the photographs in scikit-image's wheel.
builtin: venv
	$(BIN)/python tools/train_builtin.py

.venv-lucent/ready:
	$(PYTHON) -m venv .venv-lucent
	$(call install_torch,.venv-lucent/bin/python $(INSTALL))
	.venv-lucent/bin/python -m pip install --quiet numpy==2.4.6 pillow==13.0.0 safetensors tqdm decorator packaging ipython
	.venv-lucent/bin/python -m pip install --quiet --no-deps torch-lucent==0.1.8 torchvision==0.28.0 kornia==0.9.0 kornia_rs==0.2.0
	touch $@

bench-speed: venv .venv-lucent/ready
	$(BIN)/python benchmarks/speed.py

bench-similarity: venv
	$(BIN)/python benchmarks/similarity.py

clean:
	rm -rf .venv .venv-lucent build demo dist runs
