# quickstart, test and bench install what they need first, from the package registry alone.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
INSTALLED := .venv/installed
# Files are compiled when they are first imported: compiling all of them takes longer than the rest of
# the installation, and most are never run. PIP_BUILD_CONSTRAINT is what newer versions of pip read.
PIP_INSTALL := PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
	PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --no-compile --editable

# If a container image sets it, no compiled files are kept, and every start is slow.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup quickstart test bench check docs pictures format

setup: $(INSTALLED)

# What training needs, and no more.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP_INSTALL) '.[offline]'
	@touch $@

# The rest, on top of it.
$(INSTALLED): $(READY)
	$(PIP_INSTALL) '.[offline,onnx,ray,lora,serve,docs,dev]'
	@touch $@

quickstart: $(READY)
	$(BIN)/gluetune train sst2 --model minilm --data sample
	@echo 'To type these commands as they stand: source .venv/bin/activate'

test: setup
	$(BIN)/pytest -n 2 --dist loadgroup  # a group of tests, such as Ray's, shares one process

# Real data: GLUETUNE_DATA=DIR make bench. More: make bench BENCH='--tasks cola --rounds 5'.
bench: setup
	$(BIN)/python -m benchmarks.speed $(BENCH)

check: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(MAKE) --no-print-directory docs

# Warnings are errors. The pages are then in site/index.html.
docs: setup
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet --conf-dir docs . site

# The screenshots in docs/_static, of a run on the sample; needs Chromium.
pictures: setup
	$(BIN)/python -m tools.pictures

format: setup
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
