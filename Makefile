PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test lint bench clean

setup: .venv/installed
	@$(BIN)/loglake setup

demo: setup
	@$(BIN)/loglake demo

test: setup lint
	$(BIN)/pytest -q --durations=25

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
