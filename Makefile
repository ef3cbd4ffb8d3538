# Everything a newcomer or CI needs; each target sets up what it needs first.
#
#   make setup   .venv with all that is needed; each of the others does it first
#   make demo    the whole thing on this machine: no account, no server
#   make test    the tests, against a real Postgres that they start themselves
#   make check   what CI runs: lint, types, tests
#   make format  the code as make check wants it
#   make package the wheel, installed in an empty environment and run there
#   make migration NAME=what_it_does
#                the next migration, from the declarations, and the pages made from them
#   make docs    those pages alone: docs/tables.md, docs/facts.md, docs/reliability.md, and the
#                answers in docs/cookbook.md and docs/numbers.md, and the picture in README
#   make site    README and docs/ as a site with a search, in build/site, to be read without a network
#   make chaos   the long tests under faults, in every house, all cases: an hour and more
#   make bench   what it costs, as ratios: under ten minutes; bench-full takes the largest sizes,
#                bench-peers other connectors from PyPI, ten minutes more
#
# PYTHON names the interpreter (3.11 or newer) that .venv is made with.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Many processes are started: without byte code each would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test check package migration docs site chaos bench bench-full bench-peers lint format types clean

help:
	@sed -n 's/^#   //p' Makefile

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=/path/to/python")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

setup: $(READY)

demo: $(READY)
	@$(BIN)/python -m connector demo

test: $(READY)
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

check: lint types test

package: $(READY)
	rm -rf dist build/empty
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	$(PYTHON) -m venv build/empty
	build/empty/bin/pip install --quiet --disable-pip-version-check "$$(ls dist/*.whl)[demo]"
	cd build && empty/bin/intercom-warehouse --version && empty/bin/intercom-warehouse demo

migration: $(READY)
	@$(BIN)/python -m migrations.new $(NAME)
	@$(MAKE) --no-print-directory docs

docs: $(READY)
	@$(BIN)/python -m connector.commands.tables > docs/tables.new && mv docs/tables.new docs/tables.md
	@$(BIN)/python -m connector.commands.facts > docs/facts.new && mv docs/facts.new docs/facts.md
	@$(BIN)/python -m connector.commands.demonstration.picture > docs/images/first-load.new \
		&& mv docs/images/first-load.new docs/images/first-load.svg
	@$(BIN)/python -m connector.commands.demonstration.cookbook docs/cookbook.md docs/numbers.md
	@$(BIN)/python -m bench.reliability > docs/reliability.new \
		&& mv docs/reliability.new docs/reliability.md

site: $(READY)
	$(BIN)/sphinx-build -q -W -d build/doctrees -c docs/site . build/site
	@echo "Open build/site/index.html"

chaos: $(READY)
	$(BIN)/python -m pytest -m chaos --durations=0

bench: $(READY)
	$(BIN)/python -m bench

bench-full: $(READY)
	$(BIN)/python -m bench full

bench-peers: $(READY)
	$(BIN)/python -m bench.peers .peers 250000 300

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .peers build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find connector migrations tests -name __pycache__ -type d -prune -exec rm -rf {} +
