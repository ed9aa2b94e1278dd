.DEFAULT_GOAL := help
PY := .venv/bin/python
SEEDS ?= 20000
SEED ?=
FORCE ?=
SECONDS ?= 60

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## .venv from the lock file, once for each content of it
	@scripts/setup

style: setup ## ruff: format and lint
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .

types: setup ## mypy --strict, tests too
	$(PY) -m mypy

layers: setup ## the import rules of .importlinter
	.venv/bin/lint-imports

test: setup ## unit, property, simulation, port and system tests: nothing but Python, under two minutes
	$(PY) -m pytest -n 2 -m "not toolchains"

test-all: setup ## also what needs other languages (installs them as root), and a short `make conformance`
	@scripts/toolchains
	$(PY) -m pytest -m toolchains

simulate: setup ## the protocol under faults: SEEDS=20000, or SEED=17 to replay one
	$(PY) -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(SEEDS)) --force '$(FORCE)'

coverage: setup ## which branches of the cores the simulation, the properties and the unit tests come to
	scripts/coverage

fuzz: setup ## everything that parses, under atheris: SECONDS=60 in all
	@$(PY) -m pip install --quiet --require-hashes -r requirements-fuzz.lock
	$(PY) -m tests.fuzz --seconds $(SECONDS)

conformance: setup ## the API against its own document, by schemathesis: SECONDS=60 in all
	scripts/conformance --seconds $(SECONDS)

docs: setup ## the documentation as a site, in build/site; strict about its links
	@$(PY) -m pip install --quiet --require-hashes -r requirements-site.lock
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --quiet --strict

reference: setup ## docs/api.md and docs/cli.md anew from the code
	scripts/reference

demo: setup ## the main job: a ledger through the queue, from zero and back
	$(PY) examples/ledger/demo.py

bench: setup ## throughput and CPU a message beside the raw path
	$(PY) -m bench

wheel: setup ## builds the wheel and tests what it installs
	scripts/wheel

check: style types layers test coverage wheel test-all demo ## everything that CI runs

lock: setup ## the lock files anew from pyproject.toml; LOCK_ARGS=--upgrade for newer versions
	scripts/lock

clean: ## takes away what was made
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .schemathesis

.PHONY: help setup style types layers test test-all simulate coverage fuzz conformance docs reference demo bench wheel check lock clean
