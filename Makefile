# Each target is what the automatic checks run too. `make setup` needs Python 3.11 or newer and nothing else.
# The locks name every package, so pip has nothing left to resolve (--no-deps): an old pip would look at newer releases.
PYTHON ?= python3
BIN := .venv/bin
ASSETS := $(shell find src/quarterdeck -path '*/assets/*' -type f -o -name '*.html') package.json package-lock.json build.mjs hatch_build.py

.PHONY: setup run test browser fuzz check format bench lock wheel clean

setup: .venv/.ready

.venv/.ready: requirements.lock pyproject.toml $(ASSETS)
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Quarterdeck needs Python 3.11 or newer; name it with make PYTHON=python3.12 setup.")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "The venv module is missing; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

.venv/.ready-dev: .venv/.ready requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.lock
	@touch $@

.venv/.ready-bench: .venv/.ready requirements-bench.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-bench.lock
	@touch $@

node_modules/.ready: package-lock.json .venv/.ready
	scripts/npm ci --silent
	@touch $@

run: setup
	QUARTERDECK_HOME=$${QUARTERDECK_HOME:-$(CURDIR)/var} $(BIN)/quarterdeck up

# Most of their time the tests wait for processes and time limits of others: two share a core. Files go out in the
# order of tests/conftest.py, the long ones first.
test: .venv/.ready-dev
	$(BIN)/pytest tests --ignore tests/browser --numprocesses $(shell $(PYTHON) -c 'import os; print(2 * os.cpu_count())') --dist loadfile --no-loadscope-reorder

browser: .venv/.ready-dev node_modules/.ready
	$(BIN)/pytest tests/browser --numprocesses 2 --dist loadfile

fuzz: .venv/.ready-dev
	FUZZ_REQUESTS=$${FUZZ_REQUESTS:-20500} $(BIN)/pytest tests/contracts/fuzz

check: .venv/.ready-dev node_modules/.ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/djlint --lint --quiet src
	$(BIN)/codespell
	scripts/npm exec -- biome ci

format: .venv/.ready-dev node_modules/.ready
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	scripts/npm exec -- biome check --write

bench: .venv/.ready-bench
	$(BIN)/python -m bench.all

lock: .venv/.ready-dev
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes -q pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes -q pyproject.toml --group dev -o requirements-dev.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes -q pyproject.toml --group dev --group bench -o requirements-bench.lock

wheel: .venv/.ready-dev
	$(BIN)/python -m build --outdir dist

clean:
	rm -rf .venv node_modules dist src/quarterdeck/static/dist
