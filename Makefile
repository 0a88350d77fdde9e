# Needs Python 3.11 (or 3.12, 3.13), make and bash; everything else goes into .venv.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON := .venv/bin/python
TESTS ?= -n auto --dist loadfile

# Which packages there are is decided by these files; a stamp says that .venv agrees with them.
WANTED := pyproject.toml constraints.txt
BARE := .venv/.made
DEMO := .venv/.demo-installed
DEV := .venv/.dev-installed

.PHONY: help demo test lint artifacts systems bench clean .venv

help:  ## Show this list.
	@sed -n 's/^\([a-z.]*\):.*## \(.*\)/  make \1|\2/p' Makefile | while IFS='|' read -r name what; \
	  do printf '%-18s %s\n' "$$name" "$$what"; done

.venv: $(DEV)  ## Set up .venv with everything, for development.

demo: $(DEMO)  ## Compress a MovieLens recommender and evaluate the file (12 minutes at most).
	@$(PYTHON) -m experiments.demo

test: lint  ## Check style and types, and run all tests.
	@$(PYTHON) -m pytest $(TESTS)

lint: $(DEV)  ## Check style and types.
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy

artifacts: $(DEMO)  ## Train all saved models anew, in full (about two hours).
	@$(PYTHON) -m experiments.train --config=experiments/configs/teacher.json --out=build/teacher
	@$(PYTHON) -m experiments.publish --run=build/teacher --out=saved_models/ml1m-teacher
	@$(PYTHON) -m experiments.compress --config=experiments/configs/mobile.json \
	  --out=saved_models/ml1m-mobile --work=build/mobile --split=test
	@$(PYTHON) -m experiments.train --config=experiments/configs/ranking-teacher.json \
	  --out=build/ranking-teacher
	@$(PYTHON) -m experiments.publish --run=build/ranking-teacher \
	  --out=saved_models/ml1m-ranking-teacher
	@$(PYTHON) -m experiments.compress --config=experiments/configs/ranking-mobile.json \
	  --teacher=saved_models/ml1m-ranking-teacher --out=saved_models/ml1m-ranking \
	  --work=build/ranking --split=test

systems: $(DEMO)  ## Train, compress and measure every published system there is (needs npm and espeak-ng).
	@$(PYTHON) -m experiments.systems

bench: $(DEMO)  ## Measure training steps, tables, zeros, and the files of other tools.
	@$(PYTHON) -m benchmarks.training_step
	@$(PYTHON) -m benchmarks.factorize
	@$(PYTHON) -m benchmarks.table_scores
	@$(PYTHON) -m benchmarks.sparse_kernels
	@$(PYTHON) -m benchmarks.peers
	@$(PYTHON) -m benchmarks.tall_table

clean:  ## Remove everything that make made, .venv included.
	@rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# pip says a line for every step of every package; this makes one line of them that moves.
define SHOW_PIP
import sys

found, moving = 0, sys.stdout.isatty()
for line in sys.stdin:
    if line.startswith(("Collecting", "Processing")):
        found += 1
        name = line.split()[1].rpartition("/")[2][:50]
        print(f"\r  fetching {found}: {name:50}" if moving else "", end="", flush=True)
    elif line.startswith("Installing collected"):
        count = line.count(",") + 1
        start = "\r" if moving else ""
        print(f"{start}  unpacking {count} packages, about 2.5 GB{'':45}", flush=True)
endef
export SHOW_PIP

PIP := -m pip --disable-pip-version-check --no-input install --progress-bar off -c constraints.txt
INSTALLED = | $(PYTHON) -c "$$SHOW_PIP"; touch $@

$(DEMO): $(BARE) $(WANTED)
	@echo "Installing tfcompress and what the demo needs into .venv (about a minute)"
	@$(PYTHON) $(PIP) -e '.[experiments]' $(INSTALLED)

$(DEV): $(BARE) $(WANTED)
	@echo "Installing tfcompress and its development tools into .venv (about a minute)"
	@$(PYTHON) $(PIP) -e '.[experiments,dev]' $(INSTALLED)
	@touch $(DEMO)

$(BARE):
	@for candidate in python3.11 python3 python3.12 python3.13; do \
	  if "$$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	      2>/dev/null; then \
	    echo "Making .venv with $$("$$candidate" --version)"; \
	    "$$candidate" -m venv .venv; touch $@; exit; \
	  fi; \
	done; \
	echo "Found no Python 3.11, 3.12 or 3.13; install one of them, then run make again." >&2; exit 1
