# Every target makes what it needs first: .venv, from the Python below, with exactly the versions in uv.lock.
# Nothing is asked of the machine but Python 3.11 or newer and a Python package index. `make PYTHON=python3.13 test`
# makes the environment again with another Python.

PYTHON ?= python3
ARGS ?=
# A worker for each core, each with servers and folders of its own. TEST_WORKERS= runs the tests in one process.
TEST_WORKERS ?= -n auto --maxprocesses 4 --dist worksteal

UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
PYTHON_VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
STAMP := $(VENV)/.stamp-$(PYTHON_VERSION)

# uv may use the environment made here and nothing else: no Python of its own, no other place to install to.
UV := env -u VIRTUAL_ENV -u UV_PYTHON UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=$(VENV) $(BIN)/uv

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check format bench clean

help:
	@echo 'make demo     a year of a real shop in a minute; ARGS=--kill kills the worker in the middle'
	@echo 'make test     run the tests'
	@echo 'make bench    measure this machine'
	@echo 'make check    format, lint, types and import directions; changes nothing'
	@echo 'make format   format, and mend what the linter can mend'
	@echo 'make clean    remove the environment and everything that was built'
	@echo 'ARGS=... is handed on by demo, bench and test; PYTHON=... chooses the Python'


demo: $(STAMP)
	$(BIN)/cgk jobs demo $(ARGS)

bench: $(STAMP)
	$(BIN)/cgk jobs bench $(ARGS)

test: $(STAMP)
	$(BIN)/pytest -q $(TEST_WORKERS) $(ARGS)

check: $(STAMP)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports --no-logo

format: $(STAMP)
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format


clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests typing_tests -type d -name __pycache__ -prune -exec rm -rf {} +

# Done again when what is declared or locked changes, or when PYTHON is another version than the environment's.
$(STAMP): pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo 'Python 3.11 or newer is needed; $(PYTHON) is $(or $(PYTHON_VERSION),not found). Try: make PYTHON=python3.13 $(MAKECMDGOALS)' >&2; \
	  exit 1; }
	@test "$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$(PYTHON_VERSION)" \
	  && test "$$($(BIN)/uv --version 2>/dev/null | cut -d' ' -f2)" = "$(UV_VERSION)" \
	  || { $(PYTHON) -m venv --clear $(VENV) \
	    && $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION); }
	$(UV) sync --quiet --locked --all-extras --python $(BIN)/python
	@touch $@
