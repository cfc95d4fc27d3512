# Every target first brings the environment up to date (scripts/setup.sh; its settings, such as
# VENV, PYTHON and MDSREC_SKIP_SPARSE, may stand on the command line or in the environment).
VENV ?= .venv
ARGS ?=
export VENV PYTHON

# The environment's own Python: PYTHON chooses which interpreter the environment is made from.
RUN = $(VENV)/bin/python

.PHONY: help setup train test bench lint format docs

help:
	@echo "make train            train MDSRec on the synthetic data set"
	@echo "make train ARGS='...' the same with options of examples/train_mdsrec.py (ARGS=--help)"
	@echo "make test             run the tests (ARGS='-k graph' and other pytest options)"
	@echo "make bench            run every benchmark in short form, peers in environments of their own"
	@echo "                      (ARGS='--peers none' without them, ARGS=propagation only this one)"
	@echo "make lint             ruff and mypy"
	@echo "make format           let ruff format the code and sort its imports"
	@echo "make docs             build the documentation (build/docs/index.html), offline"
	@echo "make setup            only make the environment in $(VENV)"

setup:
	@bash scripts/setup.sh

train: setup
	$(RUN) examples/train_mdsrec.py $(ARGS)

test: setup
	$(RUN) -m pytest $(ARGS)

bench: setup
	$(RUN) benchmarks/short.py $(ARGS)

lint: setup
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy

format: setup
	$(RUN) -m ruff check --fix --select I
	$(RUN) -m ruff format

docs: setup
	$(RUN) -m sphinx -W --keep-going -q -d build/doctrees docs build/docs
	@echo "build/docs/index.html"
