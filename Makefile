# `make audit` and `make test` install what they need into .venv and do nothing twice.
PYTHON ?= python3.11
CONFIG ?= $(or $(AUDIT_CONFIG),data/miniature/audit.yaml)
VENV := .venv
BIN := $(VENV)/bin
MINIATURE := data/miniature
DRAWN := $(MINIATURE)/generated/.drawn
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export HF_HUB_OFFLINE ?= 1
# How long a thread of torch waits awake for the next: by default so long that two processes take a fifth each of what one makes
# alone, and with no wait at all one makes half. With this, nine tenths alone, and two fifths each.
export GOMP_SPINCOUNT ?= 1000

.PHONY: audit test test-all test-faults audit-dependencies dev lint miniature simulate screenshots bench bench-roster bench-measurement bench-store bench-generation bench-whole bench-report bench-cells bench-growth clean

audit: $(VENV)/.installed $(DRAWN)
	@$(BIN)/audit-assets run --config $(CONFIG)

dev: $(VENV)/.installed $(DRAWN)
	@$(BIN)/audit-assets dev --config $(CONFIG)

test: lint $(DRAWN)
	@$(BIN)/python -m pytest -q -m "not long and not faults"

test-all: lint $(DRAWN)
	@.ci/services
	@$(BIN)/python -m pytest -q -m "not faults"

# More than a hundred faults in copies of the small audit: half an hour on two cores. Some need the right to mount, and
# Debian's faketime; without them they are skipped and say so.
test-faults: $(VENV)/.developing $(DRAWN)
	@$(BIN)/python -m pytest -q -m faults -rs audit_assets_tests/faults

# Known vulnerabilities of what is installed. Asks an advisory service, so it needs the network: for a CI that has one.
audit-dependencies: $(VENV)/.developing
	@$(BIN)/pip check
	@$(BIN)/pip install -q pip-audit
	@$(BIN)/pip freeze --exclude-editable > $(VENV)/frozen.txt
	@$(BIN)/pip-audit --disable-pip --no-deps -r $(VENV)/frozen.txt

lint: $(VENV)/.developing
	@$(BIN)/ruff check audit_assets audit_assets_tests benchmarks docs docker
	@$(BIN)/mypy

# Every stage beside its peers; more than an hour on two cores, alone on the machine, or figures by the clock mean nothing.
bench: $(VENV)/.developing $(DRAWN)
	@$(BIN)/python -m benchmarks --page

bench-roster bench-measurement bench-store bench-whole bench-report bench-cells bench-growth: bench-%: $(VENV)/.developing $(DRAWN)
	@$(BIN)/python -m benchmarks --only $*

# GPU=1 for a Stable Diffusion of the size of 1.5 on a GPU.
bench-generation: $(VENV)/.developing
	@$(BIN)/python -m benchmarks.generation $(if $(GPU),--gpu)

miniature: $(VENV)/.installed
	@$(BIN)/python -m audit_assets.miniature.training

# The pictures of the README, from an audit that is made; with Chromium.
screenshots: $(VENV)/.developing
	@$(BIN)/python -m docs.screenshots $(CONFIG)

# Tables and figure of docs/statistics.md, from simulated audits.
simulate: $(VENV)/.installed
	@$(BIN)/python -m benchmarks.simulation

clean:
	rm -rf $(VENV) $(MINIATURE)/generated $(MINIATURE)/warehouse $(MINIATURE)/warehouse-small $(MINIATURE)/.dagster

$(VENV)/bin/python:
	@$(PYTHON) -m venv $(VENV)

# torch first and alone: the pin takes the build for the CPU where one is offered.
$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing into $(VENV) (some minutes, once)"
	@$(BIN)/pip install -q -c constraints.txt "torch"
	@$(BIN)/pip install -q -c constraints.txt -e .
	@touch $@

$(VENV)/.developing: $(VENV)/.installed
	@$(BIN)/pip install -q -c constraints.txt -e ".[dev]"
	@touch $@

$(DRAWN): $(VENV)/.installed audit_assets/miniature/world.py audit_assets/miniature/works.py audit_assets/miniature/draw.py
	@$(BIN)/python -m audit_assets.miniature.draw $(MINIATURE)
	@touch $@
