# Every target first brings what it needs of the environment up to date (scripts/setup.sh; its
# settings, such as VENV, PYTHON and MDSREC_SKIP_SPARSE, may stand on the command line or in the
# environment). Training does not wait for the compiler.
VENV ?= .venv
ARGS ?=
export VENV PYTHON

# The environment's own Python: PYTHON chooses which interpreter the environment is made from.
RUN = $(VENV)/bin/python

.PHONY: help setup sparse train test slow browser attacks bench lint format docs wheel-check

help:
	@echo "make train            train MDSRec on the synthetic data set"
	@echo "make train ARGS='...' the same with options of examples/train_mdsrec.py (ARGS=--help)"
	@echo "make test             run the tests (ARGS='-k graph' and other pytest options)"
	@echo "make slow             the tests that start many processes; make test leaves them out"
	@echo "make browser          the tests of the service's page, in chromium with its driver"
	@echo "make attacks          kill, damage, starve and crowd it for a minute (docs/what_was_tried.md)"
	@echo "make bench            run every benchmark in short form, peers in environments of their own"
	@echo "                      (ARGS='--peers none' without them, ARGS=propagation only this one)"
	@echo "make lint             ruff and mypy"
	@echo "make format           let ruff format the code and sort its imports"
	@echo "make docs             build the documentation (build/docs/index.html), offline"
	@echo "make wheel-check      build the wheel, try it in an environment outside of this folder"
	@echo "make setup            only make the environment in $(VENV), all of it"
	@echo "make sparse           compile torch-scatter and torch-sparse, which only a SparseTensor needs"

setup:
	@bash scripts/setup.sh

sparse:
	@MDSREC_REQUIRE_SPARSE=1 bash scripts/setup.sh sparse

train:
	@bash scripts/setup.sh base
	$(RUN) examples/train_mdsrec.py $(ARGS)
	@bash scripts/setup.sh missing

# Two processes: a test that starts threads or processes of its own still finds a core.
test: setup
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(RUN) -m pytest -n 2 --dist loadfile $(ARGS)

attacks: setup
	$(RUN) -m pytest -m attack tests/attacks $(ARGS)

slow: setup
	$(RUN) -m pytest -m slow $(ARGS)

browser: setup
	$(RUN) -m pytest -m browser tests/serving $(ARGS)

bench: setup
	$(RUN) -m benchmarks.short $(ARGS)

lint:
	@bash scripts/setup.sh dev
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy

format:
	@bash scripts/setup.sh dev
	$(RUN) -m ruff check --fix --select I
	$(RUN) -m ruff format

docs:
	@bash scripts/setup.sh dev
	@rm -rf docs/api/generated  # else a page stays of each name that is gone, and stops the build
	$(RUN) -m sphinx -E -W --keep-going -q -d build/doctrees docs build/docs
	@echo "build/docs/index.html"

wheel-check:
	@bash scripts/setup.sh dev
	$(RUN) scripts/check_wheel.py
