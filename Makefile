# `make run` and `make test` do all the set-up; the same without make is in README.md.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
PACKAGES := pyproject.toml $(wildcard plugins/*/pyproject.toml)

.PHONY: run test test-all lint benchmarks clean

run: $(STAMP)
	$(VENV)/bin/pwm run --method epie --modality ptychography

test: $(STAMP)
	$(VENV)/bin/python -m pytest -q

test-all: $(STAMP)
	$(VENV)/bin/python -m pytest -q -m "slow or not slow"

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
