# The two commands of a fresh machine with Python 3.11: `make demo` and `make test`. Each does all the set-up itself.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
BIN    := $(VENV)/bin
DEMO_LAKE ?= data/lake

.PHONY: help setup setup-dev setup-hi-res demo test check corpus clean

help:            ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.ready            ## what running bindery needs
setup-dev: $(VENV)/.ready-dev    ## and what its tests and checks need
setup-hi-res: $(VENV)/.ready-hi-res  ## and what the route hi_res needs, but for its models

$(VENV)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "bindery needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.ready-hi-res: $(VENV)/.ready requirements-hi-res.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-hi-res.lock
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready $(VENV)/.ready-hi-res requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.lock -c requirements.lock
	@touch $@

demo: setup      ## ingest the sample corpus and ask it three questions
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh data/demo.sh $(DEMO_LAKE)

test: setup-dev  ## run the tests
	$(BIN)/python -m pytest

check: setup-dev ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

corpus: setup-dev ## write the sample corpus again
	$(BIN)/python data/make_corpus.py

clean:           ## remove the environment and the demo's lake
	rm -rf $(VENV) data/lake data/answers
