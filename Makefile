PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test test-unit lint bench clean

setup: .venv/installed
	@$(BIN)/loglake setup

demo: setup
	@$(BIN)/loglake demo

test: setup lint
	$(BIN)/pytest -q --durations=25

# The core, the rules and the command line: no JVM, no service.
CORE := $(addprefix tests/streaming/,logs windows detection) $(addprefix tests/batch/,files learning) \
	tests/stack/test_cli.py $(wildcard tests/stack/test_detect_*.py) tests/test_imports.py

test-unit: .venv/installed
	$(BIN)/pytest -q -m unit -n auto --dist worksteal $(CORE)

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	@$(BIN)/python -m tests.bench

clean:
	@if [ -x $(BIN)/loglake ]; then $(BIN)/loglake down; fi
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed; name it with make PYTHON=…"; exit 1; }
	$(PYTHON) -m venv .venv
	@# uv is quicker; pip does the same where no wheel of uv fits.
	$(BIN)/pip install -q --disable-pip-version-check uv \
		&& $(BIN)/uv pip install -q --python $(BIN)/python -e '.[dev]' \
		|| $(BIN)/pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@
