# Commands for developers. `make help` lists them.

PYTHON ?= python3
VENV ?= .venv
SAM_VENV ?= .venv-sam
BENCH_VENV ?= .venv-bench
REPORTS ?= .reports
RUN := $(VENV)/bin/python
SAM := $(SAM_VENV)/bin/sam
SOURCES := layers/fluxgate/python/fluxgate functions local tools tests examples
# The lock files are complete, so pip resolves nothing.
PIP_INSTALL = -m pip --disable-pip-version-check -qq install --no-deps --require-hashes --requirement

export PYTHONPATH := layers/fluxgate/python:.
export SAM
export SAM_CLI_TELEMETRY := 0

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '  %-16s %s\n' "$$name" "$$text"; done

# ---------------------------------------------------------------- run

.PHONY: demo
demo: $(VENV)/local ## Generate one image on a local stack (PROMPT= MODEL= SIZE= COUNT=)
	@PROMPT="$$PROMPT" $(RUN) -m local demo

.PHONY: serve
serve: $(VENV)/local ## Run the local stack at http://127.0.0.1:3000 until Ctrl-C (PORT=)
	@$(RUN) -m local serve

.PHONY: invoke
invoke: $(VENV)/local $(SAM_VENV)/sam ## Invoke one function in a container (FUNCTION=SubmitTaskFunction EVENT=events/….json)
	@$(RUN) -m local.sam invoke $(FUNCTION) $(EVENT) $(SAM_OPTIONS)

.PHONY: start-api
start-api: $(VENV)/local $(SAM_VENV)/sam ## Run the API in containers with `sam local start-api` until Ctrl-C (PORT=)
	@$(RUN) -m local.sam start-api $(if $(PORT),--port $(PORT)) $(SAM_OPTIONS)

# ---------------------------------------------------------------- test

.PHONY: test
test: $(VENV)/tests ## The quick tests: about three minutes on two cores
	$(RUN) -m pytest -m "not exhaustive" --numprocesses=2 --dist=loadgroup --junitxml=$(REPORTS)/test.xml $(PYTEST_OPTIONS)

.PHONY: test-all
test-all: $(VENV)/tests $(SAM_VENV)/sam ## All tests, with coverage; those without their tools skip and say what to install
	$(RUN) -m pytest --numprocesses=2 --dist=loadgroup --cov --cov-report=term --junitxml=$(REPORTS)/test-all.xml $(PYTEST_OPTIONS)

.PHONY: test-container
test-container: $(VENV)/tests $(SAM_VENV)/sam ## The functions in containers, with `sam build` and `sam local`
	$(RUN) -m pytest tests/container --junitxml=$(REPORTS)/container.xml $(PYTEST_OPTIONS)

.PHONY: test-conformance
test-conformance: $(VENV)/tests ## The MCP server against the official conformance suite; needs npx
	$(RUN) -m pytest tests/conformance --junitxml=$(REPORTS)/conformance.xml $(PYTEST_OPTIONS)

.PHONY: chaos
chaos: $(VENV)/tests ## Run tasks through the local stack under injected faults and check the guarantees (TASKS= SEED= LIST=on)
	@$(RUN) -m tests.chaos

.PHONY: calls
calls: $(VENV)/tests ## Count the requests and items of each operation and write tests/bench/calls.json
	@$(RUN) -m tests.bench.calls

.PHONY: cost
cost: $(VENV)/tests ## Write docs/cost.md from the last bench run, prices and assumptions
	@$(RUN) -m tests.bench.cost

.PHONY: bench
bench: $(VENV)/tests $(SAM_VENV)/sam $(BENCH_VENV)/bench ## Measure speed ratios and counted calls into bench.json; needs Linux and python3.13
	$(RUN) -m tests.bench --python $(BENCH_VENV)/bin/python

.PHONY: check
check: $(VENV)/tests $(SAM_VENV)/sam ## Check format, lint rules, types and the template
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy $(SOURCES)
	$(VENV)/bin/cfn-lint template.yaml
	AWS_DEFAULT_REGION=us-east-1 $(SAM) validate --lint

.PHONY: format
format: $(VENV)/tests ## Format the sources
	$(RUN) -m ruff format .
	$(RUN) -m ruff check --fix .

# ---------------------------------------------------------------- build

.PHONY: build
build: $(SAM_VENV)/sam ## Run `sam build`; needs python3.13
	$(SAM) build

LOCK = $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade

.PHONY: lock
lock: $(VENV)/tests ## Upgrade all packages and write every requirements.txt
	$(LOCK) tests/requirements.in --output-file tests/requirements.txt
	$(LOCK) local/requirements.in --constraint tests/requirements.txt --output-file local/requirements.txt
	$(LOCK) layers/dependencies/requirements.in --constraint tests/requirements.txt --output-file layers/dependencies/requirements.txt
	$(LOCK) tests/requirements-sam.in --output-file tests/requirements-sam.txt
	$(LOCK) tests/bench/requirements.in --output-file tests/bench/requirements.txt

.PHONY: openapi
openapi: $(VENV)/tests ## Write openapi.json and docs.html
	$(RUN) -m tools.openapi

.PHONY: imports
imports: $(VENV)/tests $(SAM_VENV)/sam ## Write tests/container/imports.json; needs python3.13
	$(RUN) -m tests.container.imports

.PHONY: clean
clean: ## Remove everything that make created
	rm -rf .venv* .aws-sam .local .reports .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis

# ---------------------------------------------------------------- environments, rebuilt when their lock file changes

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "fluxgate needs Python 3.11 or newer; choose one with PYTHON=" >&2; exit 1; }
	@echo "Creating the environment in $(VENV) (once)" >&2
	@$(PYTHON) -m venv $(VENV)

$(VENV)/local: local/requirements.txt | $(VENV)/bin/python
	@echo "Installing the packages of the local stack (once)" >&2
	@$(RUN) $(PIP_INSTALL) $<
	@touch $@

$(VENV)/tests: tests/requirements.txt | $(VENV)/bin/python
	@echo "Installing the packages of the tests (once)" >&2
	@$(RUN) $(PIP_INSTALL) $<
	@touch $(VENV)/local $@

$(SAM_VENV)/sam: tests/requirements-sam.txt
	@echo "Installing the AWS SAM CLI in $(SAM_VENV) (once)" >&2
	@$(PYTHON) -m venv $(SAM_VENV)
	@$(SAM_VENV)/bin/python $(PIP_INSTALL) $<
	@touch $@

$(BENCH_VENV)/bench: tests/bench/requirements.txt
	@python3.13 -c "" || { echo "make bench needs python3.13 on PATH" >&2; exit 1; }
	@echo "Installing the packages of the bench in $(BENCH_VENV) (once)" >&2
	@python3.13 -m venv $(BENCH_VENV)
	@$(BENCH_VENV)/bin/python $(PIP_INSTALL) $<
	@touch $@
