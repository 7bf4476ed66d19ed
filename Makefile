# Everything a developer does here. `make` alone lists the targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
BENCH_STAMP := .venv-bench/.installed
# Passed on: make demo ARGS="--release good", make test ARGS="-k judge"
ARGS ?=
# Processes that share the tests, each with servers of its own: about 3 GiB and most of a core each
WORKERS ?= 2

.PHONY: help setup check format test test-faults demo screenshots bench bench-core bench-profile bench-evidence evidence-plots bench-kayenta bench-ingest bench-ingest-parts bench-replay bench-real-data bench-understanding bench-latency bench-scale lock pins browser haproxy clean

# Real logs that are no part of this repository: access/ and kafka/ below it
DATA ?= ../shared/data

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP)  ## Install everything, the coalmine command included, into .venv

# uv installs the 130 locked packages in seconds; pip, which also knows the mirrors of pip.conf,
# takes over where uv reaches no index.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Coalmine needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) --version 2>&1): make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "$(PYTHON) has no venv module: install python3-venv" >&2; exit 1; }
	@[ -x $(BIN)/pip ] || { echo "Making .venv"; $(PYTHON) -m venv --clear .venv; }
	@echo "Installing the packages of requirements.lock"
	@awk '/^[^ #]/ { wanted = /^uv==/ } wanted' requirements.lock > .venv/uv.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.lock
	@VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv pip sync --quiet --require-hashes requirements.lock || $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv pip install --quiet --offline --no-deps --no-build-isolation -e .
	@touch $(STAMP)

check: $(STAMP)  ## Lint, formatting, types, and which room imports which
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(STAMP)  ## Format the code and mend what ruff can mend
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

test: $(STAMP) browser haproxy check  ## Check, then run every test: real servers, a real browser, a real HAProxy
	@$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0 $(ARGS)

test-faults: $(STAMP)  ## Run the full form of the fault tests: kills, power cuts, full disks, outages
	@$(BIN)/pytest tests/faults --faults -m faults $(ARGS)

demo: $(STAMP)  ## See a bad canary being rolled back
	@$(BIN)/coalmine demo $(ARGS)

screenshots: $(STAMP) browser  ## Take pictures of the dashboard into docs/images: of the demo, and of seeded pages
	@$(BIN)/python -m tests.support.demo_shot docs/images/demo.png
	@$(BIN)/python -m tests.support.dashboard_shots docs/images/dashboard

bench: $(BENCH_STAMP)  ## Events per second of Coalmine's aggregate and of its peers, results compared
	@$(BIN)/python -m benchmarks.throughput $(ARGS)

bench-core: $(STAMP)  ## Events per CPU second of the aggregate's core alone, without Kafka: ARGS="--against ../other-tree"
	@$(BIN)/python -m benchmarks.throughput.core $(ARGS)

bench-profile: $(BENCH_STAMP)  ## Where the CPU time of the aggregate goes: make bench-profile ARGS="--side worker"
	@$(BIN)/python -m benchmarks.throughput.profiler $(ARGS)

# The peers' packages must not decide about the versions of our own
$(BENCH_STAMP): $(STAMP) benchmarks/throughput/requirements.lock
	@echo "Installing the peers of the benchmark into .venv-bench"
	@$(PYTHON) -m venv --clear .venv-bench
	@VIRTUAL_ENV=$(CURDIR)/.venv-bench $(BIN)/uv pip sync --quiet --require-hashes benchmarks/throughput/requirements.lock || .venv-bench/bin/pip install --quiet --disable-pip-version-check --require-hashes -r benchmarks/throughput/requirements.lock
	@touch $(BENCH_STAMP)

bench-evidence: $(STAMP)  ## Error rates and delays of the evidence, as docs/evidence.md has them
	@$(BIN)/python benchmarks/evidence.py $(ARGS)
	@$(BIN)/python benchmarks/kayenta_cases.py $(DATA)/kayenta/classifier_cases.json
	@$(BIN)/python benchmarks/replay.py

evidence-plots: $(STAMP) browser  ## Draw the plots of docs/evidence.md
	@$(BIN)/python benchmarks/evidence_plots.py docs/images

bench-kayenta: $(STAMP)  ## Kayenta's own cases, judged by Coalmine
	@$(BIN)/python benchmarks/kayenta_cases.py $(DATA)/kayenta/classifier_cases.json

bench-ingest: $(BENCH_STAMP)  ## Lines per second from file to Kafka: the agent beside plain loops, what arrives compared
	@$(BIN)/python -m benchmarks.agent $(ARGS)

bench-ingest-parts: $(STAMP)  ## Lines per second of the agent's parts, with and without redaction
	@$(BIN)/python benchmarks/ingest_parsers.py $(ARGS)

bench-replay: $(STAMP)  ## Events per second that `coalmine replay` judges
	@$(BIN)/python benchmarks/replay.py $(ARGS)

bench-real-data: $(STAMP)  ## Real logs through the whole loop, counted against awk, grep and wc
	@$(BIN)/python benchmarks/real_data.py $(DATA)

bench-understanding: $(STAMP)  ## Traces joined, crash groups, log templates, on labelled data: ARGS="joining"
	@$(BIN)/python -m benchmarks.understanding $(ARGS)

bench-latency: $(STAMP)  ## Line to verdict to webhook with everything running: ARGS="--events-per-s 20000"
	@$(BIN)/python -m benchmarks.system latency $(ARGS)

bench-scale: $(STAMP) browser  ## Memory, cost as names grow, several workers, the dashboard's page: ARGS="memory", "growth", "workers" or "page"
	@$(BIN)/python -m benchmarks.system $(ARGS)

browser:
	@$(PYTHON) .ci/programs.py chromium

haproxy:
	@$(PYTHON) .ci/programs.py haproxy

lock: $(STAMP)  ## Choose the versions anew and write requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --extra dev pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" benchmarks/throughput/requirements.in -o benchmarks/throughput/requirements.lock
	@! grep -n "://" requirements.lock benchmarks/throughput/requirements.lock || { echo "a lock file must hold no address" >&2; exit 1; }

pins: $(STAMP)  ## Write the list of Kafka's jars for the versions in compose/versions.yaml
	@$(BIN)/python -m coalmine.stack.pin
	@$(BIN)/python -m benchmarks.throughput.java

clean:  ## Remove .venv and what the tools cache here
	@rm -rf .venv .venv-bench .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
