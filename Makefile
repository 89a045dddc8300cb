# Every target sets up what it needs: a virtual environment in .venv with the pinned dependencies.
PYTHON ?= python3
BIN := .venv/bin
# Wheels only: nothing is compiled, nothing from an index runs at install time.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all:

# Large enough for a first look; the proof of a release takes BILLS=10000 KILLS=1000.
BILLS ?= 40
KILLS ?= 12

.PHONY: help demo test fuzz fuzz-calculations openapi screenshots check crash bench lock clean

help:
	@echo "make demo    set up and run the main job; pass options with ARGS=\"--once --json\""
	@echo "make test    set up and run the tests; pass options with ARGS=\"-k money\""
	@echo "make crash   kill everything again and again and compare with the books: BILLS=500 KILLS=100"
	@echo "make fuzz    throw 5000 generated calls at the API, or CASES=…"
	@echo "make fuzz-calculations throw 100000 texts at the calculation language, or CASES=…"
	@echo "make openapi write docs/reference/openapi.json anew"
	@echo "make screenshots  pictures of every page of the Console, into build/screenshots"
	@echo "make check   formatting, lint, types, import contracts"
	@echo "make bench   measure it all; one benchmark with ARGS=\"runs\""
	@echo "make lock    resolve the dependencies anew (needs uv)"
	@echo "make clean   remove the virtual environment and caches"

.venv/runtime: requirements.lock pyproject.toml
	@test -x $(BIN)/python || { echo "Setting up .venv …" >&2; $(PYTHON) -m venv .venv; }
	@$(PIP) -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/develop: .venv/runtime requirements-dev.lock
	@$(PIP) -r requirements-dev.lock
	@touch $@

demo: .venv/runtime
	@$(BIN)/tollbridge demo $(ARGS)

test: .venv/develop
	@$(BIN)/python -m pytest $(ARGS)

crash: .venv/develop
	@$(BIN)/python -m tests.crash --bills $(BILLS) --kills $(KILLS) $(ARGS)

fuzz: .venv/develop
	@TOLLBRIDGE_TEST_CASES=$(or $(CASES),5000) $(BIN)/python -m pytest -n0 --timeout 36000 tests/api/test_generated_calls.py

fuzz-calculations: .venv/develop
	@TOLLBRIDGE_TEST_CASES=$(or $(CASES),100000) $(BIN)/python -m pytest -n0 --timeout 3600 tests/domain/test_calculation.py

openapi: .venv/develop
	@$(BIN)/python -m tests.api.openapi_file

screenshots: .venv/develop
	@$(BIN)/python -m tests.browser.screenshots $(or $(FOLDER),build/screenshots)

check: .venv/develop
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/runtime
	@$(BIN)/python -m benchmarks $(ARGS)

lock:
	uv pip compile pyproject.toml --group build --universal --python-version 3.11 --generate-hashes --no-header --quiet -o requirements.lock
	uv pip compile --group dev --universal --python-version 3.11 --generate-hashes --no-header --quiet -c requirements.lock -o requirements-dev.lock

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
