# On a fresh machine with Python 3.11, make and git: `make demo`, `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

# Side by side, and each to its end. With more at once, processes start so late on a slow machine that
# Flower starts them again.
SIDE_BY_SIDE = @$(MAKE) --no-print-directory --jobs=7 --keep-going

# Each of these imports the tests that it runs, and no others. `lint` and `types` begin before all that
# is compiled, so the last one here has to wait for them: it is the shortest.
TESTS := tests-deployed tests-simulation tests-others tests-examples tests-unit-1 tests-unit-2 \
	tests-failures

.PHONY: help install compiled demo test test-all test-ceph test-browser chromium test-sandbox bubblewrap \
	test-proxy test-containers nginx unit lint types tests $(TESTS) docs reference bench floors pythons clean

help:
	@echo "make demo   install into .venv and run the Long COVID study in Flower's simulation"
	@echo "make test   install, then lint, types and the tests, side by side"
	@echo "make test-all  all that, and the tests that are too long for every day"
	@echo "make unit   the quick tests only"
	@echo "make docs   the manual as a site, in site/, which needs no server and no network"
	@echo "make reference  write docs/reference anew, after a name, a config key or a command has changed"
	@echo "make test-ceph  the tests of S3 sources against Ceph; installs Debian's packages, as root"
	@echo "make test-browser  the report and the page of runs in a browser; installs Debian's Chromium, as root"
	@echo "make test-sandbox  what an analysis can do to a node; installs Debian's bubblewrap, as root"
	@echo "make test-proxy  a server behind nginx; installs Debian's, as root"
	@echo "make test-containers  the image and its federation on one laptop; with docker or podman"
	@echo "make floors  the quick tests with the lowest versions that pyproject.toml allows"
	@echo "make pythons  the quick tests on Python 3.12 and 3.13, as far as they are installed"
	@echo "make bench  what the framework costs, side by side with plain Flower"

install: .venv/.installed

JOURNEYS := examples/patient_journeys

.venv/.installed: pyproject.toml $(JOURNEYS)/pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --no-compile --editable ".[simulation,estimators,dp,regression,freeze,sql,report,tensorboard]" --group dev
	$(BIN)/python -m pip install --quiet --no-compile "./$(JOURNEYS)[torch,polars,synthea]"
# Compiled by all cores, as each message is a new process. Packages hold files that no Python of this
# version can compile.
	$(BIN)/python -m compileall -qq -j 0 .venv/lib || true
	touch $@

# What has changed since is compiled before the tests: where PYTHONDONTWRITEBYTECODE is set, each of
# their hundreds of processes would compile it anew.
compiled: install
	@$(BIN)/python -m compileall -q flame_flwr clients strategies

demo: compiled
	$(BIN)/python examples/halta/demo.py

# Runs a command, and says all that it said when it ends, on lines of its own between those of others.
define SAY_AT_END
@said=$$($(1) 2>&1) && failed=0 || failed=$$?; printf '\n%s\n%s\n' '$(1)' "$$said"; exit $$failed
endef

test: install
	$(SIDE_BY_SIDE) $(TESTS) lint types

test-all: install
	$(SIDE_BY_SIDE) $(TESTS) lint types EVERY=yes
	$(MAKE) docs floors pythons

tests: install
	$(SIDE_BY_SIDE) $(TESTS)

# With EVERY=yes none is left out.
WHICH = $(if $(EVERY),,not exhaustive and )
PYTEST := $(BIN)/python -m pytest

# Those that share what is slow to start (tests/unit/test_what_tests_start.py holds where they are).
tests-failures: compiled
	$(call SAY_AT_END,$(PYTEST) tests/integration/failures -m "$(WHICH)failures")

tests-deployed: compiled
	$(call SAY_AT_END,$(PYTEST) tests/integration -m "$(WHICH)deployed")

# The examples' simulations are exhaustive, all of them: the import of their tests takes 6 s of a core.
tests-simulation: compiled
	$(call SAY_AT_END,$(PYTEST) tests/integration $(if $(EVERY),examples) -m "$(WHICH)simulation and not deployed")

tests-others: compiled
	$(call SAY_AT_END,$(PYTEST) tests --ignore tests/unit \
		-m "$(WHICH)not failures and not deployed and not simulation")

tests-examples: compiled
	$(call SAY_AT_END,$(PYTEST) examples -m "$(WHICH)not simulation")

# In two halves that take about as long, as each often waits for a program that a test has started.
# Each imports and gathers only its own tests, where pytest-xdist's processes each do so with all.
UNIT_1 := $(addprefix tests/unit/,advice deploy node payload privacy results)
tests-unit-1: compiled
	$(call SAY_AT_END,$(PYTEST) $(UNIT_1) $(if $(EVERY),-m ""))

tests-unit-2: compiled
	$(call SAY_AT_END,$(PYTEST) tests/unit $(UNIT_1:%=--ignore %) $(if $(EVERY),-m ""))

test-proxy: install nginx
	$(PYTEST) tests/integration/test_proxy.py -m ""

test-containers: install
	$(PYTEST) tests/integration/test_containers.py -m ""

nginx:
	PATH="$$PATH:/usr/sbin"; command -v nginx > /dev/null || \
		(timeout 300 apt-get update && timeout 300 apt-get install -y --no-install-recommends nginx-light) || \
		(echo "nginx cannot be installed here: it needs root, and Debian's archive" && exit 1)

test-ceph: install
	command -v radosgw ceph-osd ceph-mon > /dev/null || \
		(apt-get update && apt-get install -y --no-install-recommends radosgw ceph-osd ceph-mon)
	$(BIN)/python tests/ceph.py

test-sandbox: install bubblewrap
	$(BIN)/python -m pytest -m "" tests/unit/node

bubblewrap:
	command -v bwrap > /dev/null || \
		(timeout 300 apt-get update && timeout 300 apt-get install -y --no-install-recommends bubblewrap) || \
		(echo "bubblewrap cannot be installed here: it needs root, and Debian's archive" && exit 1)

# Five minutes at most, and a quarter of an hour more where Chromium is still to be installed; the
# screenshots are in .browser.
test-browser: install chromium
	timeout 450 $(BIN)/python tests/browser.py .browser

chromium:
	command -v chromedriver > /dev/null || \
		(timeout 300 apt-get update && timeout 600 apt-get install -y --no-install-recommends \
			chromium chromium-driver fonts-dejavu-core) || \
		(echo "Chromium cannot be installed here: it needs root, and Debian's archive" && exit 1)

unit: compiled
	$(PYTEST) -n 3 --dist loadfile tests/unit

lint: install
	$(call SAY_AT_END,$(BIN)/ruff check .)
	$(call SAY_AT_END,$(BIN)/ruff format --check .)
	$(call SAY_AT_END,$(BIN)/python docs/tools/prose.py)

types: install
	$(call SAY_AT_END,$(BIN)/mypy)

# Only those who build the site need what builds it. The tutorials run, two at a time.
docs: .venv/.docs-installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	$(BIN)/flame-flwr docs --to site/manual.html
	@echo "site/index.html is the site, site/manual.html the manual in one file"

.venv/.docs-installed: .venv/.installed
	$(BIN)/python -m pip install --quiet --group docs
	touch $@

reference: install
	$(BIN)/python docs/tools/reference_pages.py
	$(BIN)/python docs/pictures/round_picture.py

bench: compiled
	$(BIN)/python tests/benchmarks/run.py

# Environments of their own, without PyTorch. Flower brings uv, which can choose the lowest versions.
# The quick tests start no simulation, so there is one after them.
UV := UV_PYTHON_DOWNLOADS=never $(BIN)/uv
EXTRAS := .[simulation,estimators,dp,regression,freeze,sql,report,tensorboard]

floors: .venv-floors/.installed
	.venv-floors/bin/python -m pytest -n 3 --dist loadfile tests/unit
	.venv-floors/bin/flame-flwr submit examples/quickstart --simulate 2 \
		--run-config results=$(CURDIR)/.venv-floors/results

.venv-floors/.installed: pyproject.toml | install
	$(UV) venv --quiet --seed --clear --python $(PYTHON) .venv-floors
	$(UV) pip install --quiet --python .venv-floors --resolution lowest-direct \
		--editable "$(EXTRAS)" --group test
	touch $@

# A Python by its version: on the PATH, or one of pyenv's.
find-python = $(shell for python in python$(1) $${PYENV_ROOT:-$$HOME/.pyenv}/versions/$(1).*/bin/python; \
	do "$$python" -c "" 2> /dev/null && command -v "$$python" && break; done)

pythons: $(if $(call find-python,3.12),python-3.12,no-python-3.12) \
	$(if $(call find-python,3.13),python-3.13,no-python-3.13)

no-python-%:
	@echo "NOT RUN: the tests on Python $*, which is not installed" >&2

python-%: .venv-%/.installed
	.venv-$*/bin/python -m pytest -n 3 --dist loadfile tests/unit

.venv-3.%/.installed: pyproject.toml | install
	$(UV) venv --quiet --seed --clear --python $(call find-python,3.$*) .venv-3.$*
	$(UV) pip install --quiet --python .venv-3.$* --editable "$(EXTRAS)" --group test
	touch $@

.PRECIOUS: .venv-3.%/.installed

clean:
	rm -rf .venv .venv-* .demo .browser site build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
