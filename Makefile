# Needs Python 3.11, 3.12 or 3.13, make and git; everything else goes into .venv, checked against a lock's hashes.
# Two locks, one environment: `make demo` installs what the product runs on, the other targets add the tools
# (the same versions; 16 packages and 200 MB more), so that nobody waits for a type checker to see the demo.

SHELL := /bin/sh
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
FITS := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
MLFLOW := 3.17.2
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c '$(FITS)' >/dev/null 2>&1 && { echo $$p; break; }; done)
COMPILE = $(BIN)/uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate

.DEFAULT_GOAL := help
.PHONY: help demo test check format bench bench-mlflow lock pictures clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

demo: .venv/runtime.stamp ## the whole cycle on real data, in demo/
	$(BIN)/mlops demo demo

test: .venv/dev.stamp ## all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: .venv/dev.stamp ## style, types, floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/dev.stamp ## what ruff can put right by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/dev.stamp bench-mlflow ## the measurements
	$(BIN)/python -m pytest tests/bench -m bench -s

# What bench_serving.py is compared with, in an environment of its own; where it cannot be had, that comparison is left
# out, and says so. lightgbm is the one that our own lock has.
bench-mlflow: .venv/dev.stamp
	@test -f .venv-mlflow/$(MLFLOW).stamp || { echo "installing mlflow $(MLFLOW) into .venv-mlflow" && \
		"$(PYTHON)" -m venv --clear .venv-mlflow && .venv-mlflow/bin/python -m pip install --quiet \
			--disable-pip-version-check mlflow==$(MLFLOW) $$($(BIN)/python -m pip freeze | grep '^lightgbm=') && \
		touch .venv-mlflow/$(MLFLOW).stamp; } || { rm -rf .venv-mlflow; echo "mlflow $(MLFLOW) is not to be had" >&2; }

lock: .venv/dev.stamp ## the locks from pyproject.toml, keeping their versions; delete them first to get new ones
	$(COMPILE) pyproject.toml --group build -o requirements.lock
	$(COMPILE) pyproject.toml --group build --group dev -c requirements.lock -o requirements-dev.lock
	$(COMPILE) mlops_tui/service.in -c requirements.lock -o mlops_tui/service.lock

pictures: .venv/runtime.stamp ## the pictures of the docs, from what the commands print and the screens show
	$(BIN)/python docs/pictures/make.py

clean: ## takes away all that make has made, the demo too
	rm -rf .venv .venv-mlflow demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find mlops_tui tests sample_data -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/pip:
	@if ! "$(PYTHON)" -c '$(FITS)' 2>/dev/null; then \
		echo "this needs Python 3.11, 3.12 or 3.13 with venv (Debian: apt-get install python3-venv);" \
			"found: $$("$(PYTHON)" --version 2>&1 || echo none). Say which: make PYTHON=/path/to/python3.12" >&2; \
		exit 1; fi
	"$(PYTHON)" -m venv --clear .venv

.venv/runtime.stamp: requirements.lock pyproject.toml | .venv/bin/pip
	$(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev.stamp: requirements-dev.lock .venv/runtime.stamp
	$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@
