# Everything a checkout needs. `make help` lists it.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)
# The stamp's name carries the content it stands for: nothing changed, nothing to do.
STAMP := .venv/setup-$(shell { pwd; cat requirements/dev.txt requirements/install.py pyproject.toml; } | cksum | tr -d ' ')

SPARK := .venv/spark-$(shell cksum < requirements/spark.txt | tr -d ' ')

RUNS ?= 10

# Each has servers of its own, some 1.5 GB. Tests wait for servers a third of their time: more workers than cores fill it.
# ARGS="tests/ledger/core -k refund" WORKERS=0 runs a few of them in one process.
WORKERS ?= 3

# They wait for nobody.
UNIT_WORKERS ?= 2

UV_LOCK := uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-emit-index-url --custom-compile-command "make lock"

# What was compiled once is kept, beside the environment, also where the shell says that nothing is.
test unit soak: export PYTHONDONTWRITEBYTECODE =
test unit soak: export PYTHONPYCACHEPREFIX = $(CURDIR)/.venv/bytecode

.DEFAULT_GOAL := help
.PHONY: help setup demo unit check test pages soak test-spark lint format lock clean

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv with every pinned dependency and the wagerledger command.

$(STAMP):
	@test -n "$(PYTHON)" || { echo "setup: no Python >= 3.11 with the venv module found (tried python3, python3.11 to python3.14); install one or say make setup PYTHON=/path/to/python3" >&2; exit 2; }
	@$(PYTHON) requirements/install.py
	@rm -f .venv/setup-* && touch $@

demo: setup ## Start the whole system, play real rounds, show every step, stop.
	@.venv/bin/wagerledger demo

unit: setup ## Run the tests that need no server; ARGS="tests/ledger/core -k refund" runs a few.
	@.venv/bin/python -m pytest -m unit -q $(if $(ARGS),,-n $(UNIT_WORKERS)) $(ARGS)

check: lint unit ## What every change must pass: style, types, contracts, the tests without servers.

pages: setup ## Write the pages again that are made from the code.
	@.venv/bin/python -m cli.pages

test: setup ## Run all tests against real servers (embedded unless told otherwise).
	@.venv/bin/python -m pytest -n $(WORKERS) $(ARGS)

soak: setup ## Run the tests RUNS times (10), beside busy neighbours, in random order, under every Python here.
	@.venv/bin/python -m tests.soak $(RUNS) -- $(ARGS)

test-spark: setup $(SPARK) ## Run the tests of the Spark jobs (needs a full Java 17 or 21; fetches 400 MB once).
	@PYTHONPATH=$(SPARK) .venv/bin/python -m pytest tests/spark $(ARGS)

# Beside the environment and not in it: everything else is tested without.
$(SPARK): | setup
	@rm -rf .venv/spark-*
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --target $@.part -r requirements/spark.txt
	@mv $@.part $@

lint: setup ## Style, types, import contracts, schemas against all that were released, pages that are stale.
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo
	@.venv/bin/wagerledger schemas check-compatibility
	@.venv/bin/python -m cli.pages --check

format: setup ## Rewrite the code the way `lint` wants it.
	@.venv/bin/ruff check --fix --quiet . ; .venv/bin/ruff format .

lock: ## Pin again: the requirements (needs uv on the path) and the jars of the embedded stack.
	@$(UV_LOCK) pyproject.toml -o requirements/runtime.txt
	@$(UV_LOCK) pyproject.toml --extra sandbox --extra archive --extra dev -o requirements/dev.txt
	@echo pyspark==4.0.0 | $(UV_LOCK) - -o requirements/spark.txt
	@$(MAKE) --no-print-directory setup
	@.venv/bin/python -m sandbox.servers.artifacts
	@.venv/bin/python -m spark.jars

clean: ## Remove what was built here (the download cache stays).
	@rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
