## make demo    the main job on bundled examples, on a fresh machine
## make serve   the page and OpenAI's interfaces at http://127.0.0.1:8000
## make test    the tests
## make train   all stages of a miniature recipe, about a minute
## make check   format, lint, types and tests, as in CI
## make docs    the documentation as a site, in out/site
## make bench   measure what the README claims, compare with the last committed run
## make style   the measures of the code itself: sizes, copies, annotations, dead code
## make coverage   the tests again, with the lines and branches that they reach
## make package the wheel, installed in an empty environment and started (needs a package index)
## make test-vllm VLLM_PYTHON=path/to/python    the tests on vLLM, in an environment that has it
## make web     the page that vita serve shows, built again from web/ (needs Node 20 or newer)
## Another Python: make demo PYTHON=python3.12

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: help demo serve test test-vllm train docs bench style coverage package check lint web examples clean

help:
	@sed -n 's/^## //p' Makefile

demo: $(VENV)/.installed
	@$(BIN)/python examples/demo.py

serve: $(VENV)/.installed-serve
	@$(BIN)/vita serve

test: $(VENV)/.installed-dev
	@$(BIN)/python -m pytest

train: $(VENV)/.installed-dev
	@rm -rf out/mini
	@$(BIN)/vita train recipes/mini.yaml --out out/mini

docs: $(VENV)/.installed-dev
	@$(BIN)/mkdocs build --strict

bench: $(VENV)/.installed-dev
	@$(BIN)/python benchmarks/bench.py

style: $(VENV)/.installed-dev
	@$(BIN)/python benchmarks/style.py

coverage: $(VENV)/.installed-dev
	@$(BIN)/coverage run -m pytest
	@$(BIN)/coverage report --sort=cover

package: $(VENV)/.installed-dev
	@$(BIN)/python benchmarks/package.py

test-vllm:
	@$(VLLM_PYTHON) -c 'import vllm' || { echo "name a Python that has vLLM: make test-vllm VLLM_PYTHON=..."; exit 1; }
	@$(VLLM_PYTHON) -m pytest tests/vllm_plugin tests/engine/test_vllm.py -m 'slow or not slow'

check: lint
	@$(BIN)/python -m pytest

lint: $(VENV)/.installed-dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright

web:
	@npm --prefix web ci --no-audit --no-fund
	@npm --prefix web run check
	@npm --prefix web test
	@npm --prefix web run build

examples: $(VENV)/.installed
	@$(BIN)/python examples/make_examples.py

clean:
	rm -rf $(VENV) build dist out .coverage .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are newer than pyproject.toml when everything that it asks for is installed.
$(VENV)/.installed: pyproject.toml | $(BIN)/pip
	@echo "installing vita-omni into $(VENV) (about 2 GB with PyTorch; a few minutes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.installed-serve: pyproject.toml | $(BIN)/pip
	@echo "installing vita-omni and its server into $(VENV) (a few minutes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[serve]"
	@touch $(VENV)/.installed $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/pip
	@echo "installing vita-omni and the development tools into $(VENV) (a few minutes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $(VENV)/.installed $(VENV)/.installed-serve $@

# pip is what a virtual environment gets last: one that was interrupted is made again.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "$(PYTHON) is older than Python 3.10: name a newer one, as in 'make demo PYTHON=python3.12'"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "no virtual environment could be made; on Debian and Ubuntu: apt-get install python3-venv"; rm -rf $(VENV); exit 1; }
