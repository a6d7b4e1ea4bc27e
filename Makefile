# Every target sets up its own environment in .venv; Python 3.11 or newer, pip and make are all a machine needs.
PYTHON ?= python3
BIN := .venv/bin
# Commands, flows and tests start hundreds of processes; without bytecode each would compile every library anew.
unexport PYTHONDONTWRITEBYTECODE

# One worker more than there are processors: some tests wait for a schedule to fire.
TESTS = $(BIN)/pytest -q -n $$($(BIN)/python -c 'import os; print(1 + (os.cpu_count() or 1))') --dist loadfile --no-loadscope-reorder

.PHONY: demo test check cases lint docs proof bench clean

demo: .venv/ready          ## the whole way, in a rehearsal workspace: demo/, or demo-2/ where that is taken
	@$(BIN)/pilotplant demo

test: .venv/ready          ## every test with the first of its cases: most of the lines, in a few minutes
	$(TESTS) -m "not check and not proof"

check: .venv/ready         ## what CI runs: every case, and the ways that take longer, with lint beside them
	@$(MAKE) --no-print-directory --jobs 2 lint cases

cases: .venv/ready
	$(TESTS) -m "not proof"

lint: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/cli.py --check
	$(BIN)/python docs/schemas.py --check
	$(BIN)/python docs/reference.py --check
	$(BIN)/python docs/gate.py --check
	$(BIN)/python docs/failures.py --check

docs: .venv/ready          ## writes the pages and schemas that follow from the code, and builds the site: site/html/index.html
	$(BIN)/python docs/cli.py
	$(BIN)/python docs/schemas.py
	$(BIN)/python docs/reference.py
	$(BIN)/python docs/gate.py
	$(BIN)/python docs/failures.py
	$(BIN)/python docs/website.py

proof: .venv/ready         ## the long suites; their last result is committed in docs/proof/
	$(BIN)/python -m tests.proof

bench: .venv/ready         ## speed and memory against bare peers; the last result is committed in docs/benchmarks/
	$(BIN)/python -m benchmarks.lab
	$(BIN)/python -m benchmarks.evidence
	$(BIN)/python -m benchmarks.promotion
	$(BIN)/python -m benchmarks.factory
	$(BIN)/python -m benchmarks.store
	$(BIN)/python -m benchmarks.desk
	$(BIN)/python -m benchmarks.terminal

clean:
	rm -rf .venv site .mypy_cache .ruff_cache .pytest_cache .hypothesis dist

# uv installs the lock with its hashes; where the machine has none it goes into the project's own environment.
.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; try: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	VIRTUAL_ENV=.venv $(BIN)/uv pip sync --quiet --require-hashes requirements.lock
	VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --no-deps -e .
	touch $@
