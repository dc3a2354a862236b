# `make audit` and `make test` install what they need into .venv and do nothing twice.
PYTHON ?= python3.11
CONFIG ?= $(or $(AUDIT_CONFIG),data/miniature/audit.yaml)
VENV := .venv
BIN := $(VENV)/bin
MINIATURE := data/miniature
DRAWN := $(MINIATURE)/generated/.drawn
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export HF_HUB_OFFLINE ?= 1
# Two threads that wait without spinning: one torch process then leaves room for the rest of the machine.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: audit test test-all dev lint miniature simulate bench-roster bench-measurement bench-generation clean

audit: $(VENV)/.installed $(DRAWN)
	@$(BIN)/audit-assets run --config $(CONFIG)

dev: $(VENV)/.installed $(DRAWN)
	@$(BIN)/audit-assets dev --config $(CONFIG)

test: lint $(DRAWN)
	@$(BIN)/python -m pytest -q -m "not long"

test-all: lint $(DRAWN)
	@.ci/services
	@$(BIN)/python -m pytest -q

lint: $(VENV)/.developing
	@$(BIN)/ruff check audit_assets audit_assets_tests benchmarks docker
	@$(BIN)/mypy

# Half an hour on two cores; alone on the machine, or its figures mean nothing.
bench-roster: $(VENV)/.developing
	@$(BIN)/python benchmarks/roster.py

miniature: $(VENV)/.installed
	@$(BIN)/python -m audit_assets.miniature.training

# Tables and figure of docs/statistics.md, from simulated audits.
simulate: $(VENV)/.installed
	@$(BIN)/python -m benchmarks.simulation

bench-measurement: $(VENV)/.installed
	@$(BIN)/python -m benchmarks.measurement

# On a machine that does nothing else; GPU=1 for a Stable Diffusion of the size of 1.5 on a GPU.
bench-generation: $(VENV)/.developing
	@$(BIN)/python -m benchmarks.generation $(if $(GPU),--gpu)

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
