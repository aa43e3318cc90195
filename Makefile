# Everything a fresh machine needs: Python 3.11, JDK 17, Maven and make, and Node.js for the tests. See README.md.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help

.PHONY: help
help: ## show the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 12

.PHONY: install
install: $(INSTALLED) ## create .venv and install what constraints.txt pins

# pip only fetches uv, which installs the rest in seconds; both check every file against its hash.
$(INSTALLED): constraints.txt bootstrap.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement bootstrap.txt
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip sync --quiet --require-hashes constraints.txt
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: demo
demo: $(INSTALLED) ## start everything, index docstrings through the bridge, and search them
	@$(BIN)/sidecar demo

.PHONY: check
check: $(INSTALLED) ## format, lint, types, import rules, and the rules of tests/checks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.checks

.PHONY: unit
unit: $(INSTALLED) ## only the pure tests: half a minute at most
	$(BIN)/pytest tests/unit tests/property --numprocesses 2

.PHONY: test
test: check ## everything: the pure tests first, then those on a real node with the real model
	$(BIN)/pytest tests/unit tests/property --numprocesses 2 --durations=25
	$(BIN)/pytest --ignore tests/unit --ignore tests/property --numprocesses 2 --dist loadgroup --durations=25

.PHONY: soak
soak: $(INSTALLED) ## many generated inputs, writes under faults, broken bridges, searches: over half an hour
	$(BIN)/pytest tests/unit tests/property --numprocesses 2 --hypothesis-profile soak
	$(BIN)/python -m tests.soak

.PHONY: format
format: $(INSTALLED) ## format the code and fix what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: proto
proto: $(INSTALLED) ## generate sidecar/contract from proto/
	$(BIN)/python -m grpc_tools.protoc -Isidecar/contract=proto --python_out=. --pyi_out=. --grpc_python_out=. \
	  sidecar/contract/embedding.proto

.PHONY: lock
lock: $(INSTALLED) ## pin the newest versions that pyproject.toml allows
	$(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 --all-extras --group dev --generate-hashes \
	  --no-emit-index-url --custom-compile-command 'make lock' --output-file constraints.txt pyproject.toml
	sed -n '/^uv==/,/^    # via/p' constraints.txt > bootstrap.txt
