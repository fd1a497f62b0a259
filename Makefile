# `make run` and `make test` do all the set-up; the same without make is in README.md.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
PACKAGES := pyproject.toml $(wildcard plugins/*/pyproject.toml)
# A process for each core, each with one thread.
PYTEST := OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -q -n auto

.PHONY: run test test-all test-slow lint benchmarks clean

run: $(STAMP)
	$(VENV)/bin/pwm run --method epie --modality ptychography

test: $(STAMP)
	$(PYTEST)

test-all: $(STAMP)
	$(PYTEST) -m "slow or not slow"

test-slow: $(STAMP)
	$(PYTEST) -m slow

lint: $(STAMP)
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

benchmarks: $(STAMP)
	$(VENV)/bin/python -m pytest -q tests/benchmarks -o addopts=--import-mode=importlib

clean:
	rm -rf $(VENV)

$(STAMP): requirements.txt constraints.txt $(PACKAGES)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install -q --disable-pip-version-check -r requirements.txt
	touch $@
