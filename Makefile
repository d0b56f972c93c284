# Everything a developer runs. `make help` lists it.

PYTHON ?= python3
VENV ?= .venv
SAM_VENV ?= .venv-sam
BENCH_VENV ?= .venv-bench
REPORTS ?= .reports
RUN := $(VENV)/bin/python
SAM := $(SAM_VENV)/bin/sam
SOURCES := layers/fluxgate/python/fluxgate functions local tools tests
# The locks are complete: nothing is left to resolve.
PIP_INSTALL = -m pip --disable-pip-version-check -qq install --no-deps --require-hashes --requirement

export PYTHONPATH := layers/fluxgate/python:.
export SAM
export SAM_CLI_TELEMETRY := 0

.DEFAULT_GOAL := help

.PHONY: help
help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '  %-16s %s\n' "$$name" "$$text"; done

# ---------------------------------------------------------------- run

.PHONY: demo
demo: $(VENV)/local ## One picture through the whole stack on this machine (PROMPT= MODEL= SIZE= COUNT=)
	@PROMPT="$$PROMPT" $(RUN) -m local demo

.PHONY: serve
serve: $(VENV)/local ## The whole stack at http://127.0.0.1:3000 until Ctrl-C (PORT=)
	@$(RUN) -m local serve

.PHONY: invoke
invoke: $(VENV)/local $(SAM_VENV)/sam ## One function with one event in a container (FUNCTION=SubmitTaskFunction EVENT=events/….json)
	@$(RUN) -m local.sam invoke $(FUNCTION) $(EVENT) $(SAM_OPTIONS)

.PHONY: start-api
start-api: $(VENV)/local $(SAM_VENV)/sam ## The API by `sam local start-api`, in containers, until Ctrl-C (PORT=)
	@$(RUN) -m local.sam start-api $(if $(PORT),--port $(PORT)) $(SAM_OPTIONS)

# ---------------------------------------------------------------- test

.PHONY: test
test: $(VENV)/tests ## All tests but those that need containers or npm
	$(RUN) -m pytest --ignore=tests/container --ignore=tests/conformance --numprocesses=2 --dist=loadgroup --cov --cov-report=term --junitxml=$(REPORTS)/test.xml $(PYTEST_OPTIONS)

.PHONY: test-container
test-container: $(VENV)/tests $(SAM_VENV)/sam ## The functions in real containers, by `sam build` and `sam local`
	$(RUN) -m pytest tests/container --junitxml=$(REPORTS)/container.xml $(PYTEST_OPTIONS)

.PHONY: test-conformance
test-conformance: $(VENV)/tests ## The MCP server against the protocol's official conformance suite; needs npx
	$(RUN) -m pytest tests/conformance --junitxml=$(REPORTS)/conformance.xml $(PYTEST_OPTIONS)

.PHONY: chaos
chaos: $(VENV)/tests ## Tasks through the whole stack under injected faults, and what came of them (TASKS= SEED= LIST=on)
	@$(RUN) -m tests.chaos

.PHONY: calls
calls: $(VENV)/tests ## Count each operation's requests and items anew, and write the table that `make test` compares with
	@$(RUN) -m tests.bench.calls

.PHONY: cost
cost: $(VENV)/tests ## Write docs/cost.md anew, from the last run of the bench, prices and assumptions
	@$(RUN) -m tests.bench.cost

.PHONY: bench
bench: $(VENV)/tests $(SAM_VENV)/sam $(BENCH_VENV)/bench ## Speed, as ratios, and counted calls, into bench.json; needs Linux and python3.13 on PATH
	$(RUN) -m tests.bench --python $(BENCH_VENV)/bin/python

.PHONY: check
check: $(VENV)/tests $(SAM_VENV)/sam ## Format, lint, types, template
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy $(SOURCES)
	$(VENV)/bin/cfn-lint template.yaml
	AWS_DEFAULT_REGION=us-east-1 $(SAM) validate --lint

.PHONY: format
format: $(VENV)/tests ## Rewrite the sources in the house's format
	$(RUN) -m ruff format .
	$(RUN) -m ruff check --fix .

# ---------------------------------------------------------------- build

.PHONY: build
build: $(SAM_VENV)/sam ## `sam build`; needs python3.13 on PATH
	$(SAM) build

LOCK = $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade

.PHONY: lock
lock: $(VENV)/tests ## Choose the newest versions that fit together and write all requirements.txt
	$(LOCK) tests/requirements.in --output-file tests/requirements.txt
	$(LOCK) local/requirements.in --constraint tests/requirements.txt --output-file local/requirements.txt
	$(LOCK) layers/dependencies/requirements.in --constraint tests/requirements.txt --output-file layers/dependencies/requirements.txt
	$(LOCK) tests/requirements-sam.in --output-file tests/requirements-sam.txt
	$(LOCK) tests/bench/requirements.in --output-file tests/bench/requirements.txt

.PHONY: openapi
openapi: $(VENV)/tests ## Write the API's document anew
	$(RUN) -m tools.openapi

.PHONY: imports
imports: $(VENV)/tests $(SAM_VENV)/sam ## Write anew what each function imports at a cold start; needs python3.13 on PATH
	$(RUN) -m tests.container.imports

.PHONY: clean
clean: ## Remove everything that make has made
	rm -rf .venv* .aws-sam .local .reports .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis

# ---------------------------------------------------------------- environments, made again when their lock changes

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "fluxgate needs Python 3.11 or newer; choose one with PYTHON=" >&2; exit 1; }
	@echo "Making the environment in $(VENV) (once)" >&2
	@$(PYTHON) -m venv $(VENV)

$(VENV)/local: local/requirements.txt | $(VENV)/bin/python
	@echo "Installing what the local stack needs (once)" >&2
	@$(RUN) $(PIP_INSTALL) $<
	@touch $@

$(VENV)/tests: tests/requirements.txt | $(VENV)/bin/python
	@echo "Installing what the tests need (once)" >&2
	@$(RUN) $(PIP_INSTALL) $<
	@touch $(VENV)/local $@

$(SAM_VENV)/sam: tests/requirements-sam.txt
	@echo "Installing the AWS SAM CLI in $(SAM_VENV) (once)" >&2
	@$(PYTHON) -m venv $(SAM_VENV)
	@$(SAM_VENV)/bin/python $(PIP_INSTALL) $<
	@touch $@

$(BENCH_VENV)/bench: tests/bench/requirements.txt
	@python3.13 -c "" || { echo "The functions' Python, python3.13, has to be on PATH" >&2; exit 1; }
	@echo "Installing what the bench measures and measures against in $(BENCH_VENV) (once)" >&2
	@python3.13 -m venv $(BENCH_VENV)
	@$(BENCH_VENV)/bin/python $(PIP_INSTALL) $<
	@touch $@
