# quickstart, test and bench do their own set-up, from nothing but the package registry.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: setup quickstart test bench check docs format

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	PIP_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/pip install --quiet --editable '.[offline,onnx,ray,serve,docs,dev]'
	touch $@

quickstart: setup
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

format: setup
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
