# make install      installs the locked versions into .venv
# make install-dev  the same with the tools of development
# make quickstart   installs, then trains and scores on generated posts
# make check        installs, then runs linters, types and the quick tests
# make test         installs, then runs linters, types and the whole suite
# make site         installs, then builds the documentation into site/
# make results      the experiments of docs/image.md: hours; see docs/results.mk
#
# PYTHON chooses the interpreter of .venv (3.11 or newer): make PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip install --quiet --disable-pip-version-check
QUICK := runs/quickstart

.PHONY: help install install-dev quickstart results check test oldest newest lint \
  style types site quick constraints
help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -9

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; \
	  sys.exit(v < (3, 11) and "expected Python 3.11 or newer, got %d.%d; choose another: make PYTHON=python3.12" % v[:2])'
	$(PYTHON) -m venv $(VENV)

# Nothing but the very files that the lock file names by their hashes.
$(VENV)/.installed: $(VENV)/bin/python requirements.lock
	$(PIP) --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed pyproject.toml
	$(PIP) -c constraints.txt -e ".[dev]"
	@touch $@

quickstart: install
	$(RUN) -m data_prep.quickstart --out=$(QUICK)/raw
	$(RUN) -m data_prep.mnre --raw_dir=$(QUICK)/raw --data_dir=$(QUICK)/data \
	  --protocol=clean --boxes=$(QUICK)/raw/boxes.json \
	  --captions=$(QUICK)/raw/captions.json \
	  --tokenizer=$(QUICK)/raw/tokenizer \
	  --image_size=64 --patch_size=16 --num_crops=2 --text_len=40
	$(RUN) launch.py --config=configs/quickstart.py --workdir=$(QUICK)/objects
	$(RUN) launch.py --config=configs/quickstart.py:text --workdir=$(QUICK)/text
	$(RUN) launch.py --config=configs/quickstart.py:shuffled --workdir=$(QUICK)/shuffled
	$(RUN) -m ifa_jax.analyze shuffle --workdir=$(QUICK)/objects \
	  --beside=$(QUICK)/shuffled,$(QUICK)/text
	$(RUN) -m ifa_jax.analyze alignment --workdir=$(QUICK)/objects --num_posts=12

results: install
	$(MAKE) --file docs/results.mk PYTHON=$(RUN)

lint: style types

style: install-dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(VENV)/bin/lint-imports
	$(RUN) tests/support/prose.py
	$(MAKE) site

# Strict: a broken link, and a name of the API page without a docstring, is an error.
site: install-dev
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs --quiet build

# The variable keeps pyright from looking for a newer version on PyPI.
types: install-dev
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(VENV)/bin/pyright

quick: install-dev
	$(RUN) -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder \
	  -m "not slow and not fuzz and not multiprocess and not browser"

# About a minute. The tests are often idle, which leaves time for pyright.
check: style
	$(MAKE) --jobs=2 types quick

test: lint
	$(RUN) -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder

# Each runs the suite in an environment of its own: with the oldest versions that
# requirements.txt allows, and with the newest, on a newer Python. Packages that
# only the tests need are unchanged.
OLDEST := .venv-oldest
NEWEST := .venv-newest
NEWEST_PYTHON ?= python3.13
oldest: RESOLVE = --resolution lowest-direct --python $(RUN)
oldest: install-dev
	$(call in-its-own,$(OLDEST),$(RUN))

newest: RESOLVE = --upgrade --python $(NEWEST_PYTHON)
newest:
	$(call in-its-own,$(NEWEST),$(NEWEST_PYTHON))

define in-its-own
	uv pip compile $(RESOLVE) --quiet --no-annotate --no-header \
	  --output-file $(1).txt requirements.txt
	$(2) -m venv --clear $(1)
	$(1)/bin/python -m pip install --quiet -r $(1).txt -e ".[dev]"
	$(1)/bin/python -m pytest --numprocesses=2 --dist=loadfile \
	  --no-loadscope-reorder
endef

# Pins for every supported Python, by https://docs.astral.sh/uv. PyTorch is pinned
# by pyproject.toml; it is left out here, and what it needs named in its place,
# because its CUDA packages would pin those of a JAX for GPUs. The lock file has
# the same versions of what runs need, with the hashes of their files.
DEV = import tomllib; extras = tomllib.load(open("pyproject.toml", "rb")); \
  print(*extras["project"]["optional-dependencies"]["dev"], sep="\n")
constraints:
	($(RUN) -c '$(DEV)' | sed /^torch/d; printf 'sympy\nnetworkx\njinja2\n') \
	  | uv pip compile --universal --python-version 3.11 --no-annotate \
	    --no-header --output-file constraints.txt requirements.txt -
	uv pip compile --universal --python-version 3.11 --no-annotate --no-header \
	  --no-emit-index-url --generate-hashes --constraints constraints.txt \
	  --output-file requirements.lock requirements.txt
