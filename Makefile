# posfw: set-up and checks. `make help` lists the targets.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
TYPINGS := $(VENV)/typings/.installed

.PHONY: help demo test lint bench generate pictures clean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "posfw needs Python 3.10 or newer: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $(STAMP)

demo: $(STAMP) ## the main job: acquirer, terminal (real MicroPython), faults, technician, ledger compared
	$(BIN)/poslab demo --out build/demo

test: $(STAMP) ## every test: device code under CPython and MicroPython, host tools, the demo's day
	$(BIN)/python -m pytest -n 2 --dist loadfile

# MicroPython's stubs shadow CPython's typeshed, so they live in a folder of their own.
$(TYPINGS): pyproject.toml $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --target $(VENV)/typings 'micropython-unix-stubs>=1.24'
	touch $@

lint: $(STAMP) $(TYPINGS) ## ruff, mypy (host, and device against the MicroPython stubs), import directions, generated files
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy --config-file mypy-device.ini
	$(BIN)/python tools/generate_glyphs.py --check
	$(BIN)/python tools/generate_p256_table.py --check
	$(BIN)/python -m pytest -q -p no:randomly tests/host/test_layers.py

bench: $(STAMP) ## measure and rewrite docs/benchmarks.md
	$(BIN)/python tests/bench/run.py --write docs/benchmarks.md

generate: $(STAMP) ## rebuild generated files (glyph and curve tables)
	$(BIN)/python tools/generate_glyphs.py
	$(BIN)/python tools/generate_p256_table.py

pictures: $(STAMP) ## redraw the pictures of the docs from a real run
	$(BIN)/python tools/make_pictures.py

clean: ## remove build outputs (keeps .venv)
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
