# `make audit` and `make test` install what they need into .venv. They skip each step that is done.
PYTHON ?= python3.11
CONFIG ?= $(or $(AUDIT_CONFIG),data/miniature/audit.yaml)
VENV := .venv
BIN := $(VENV)/bin
MINIATURE := data/miniature
DRAWN := $(MINIATURE)/generated/.drawn
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export HF_HUB_OFFLINE ?= 1
# This variable sets how long an idle thread of torch spins before it sleeps. With the default, two processes at once each reach a
# fifth of the speed of one process alone. Without any spinning, one process alone reaches half. With this value, one process alone
# reaches nine tenths, and two processes reach two fifths each.
export GOMP_SPINCOUNT ?= 1000
# Container images often set this variable. pip compiles nothing here (see below), so with the variable every process would compile all that
# it imports: `audit-assets --help` would take 2.3 s instead of 0.7 s.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: audit test test-all test-faults test-matrix audit-dependencies dev lint miniature simulate screenshots bench bench-roster bench-measurement bench-store bench-generation bench-whole bench-report bench-cells bench-buckets bench-growth defence clean

audit: $(VENV)/.installed $(DRAWN)
	@$(BIN)/audit-assets run --config $(CONFIG)

# `make dev PORT=3001 HOST=127.0.0.1`. A variable of the environment has no effect, because shells and containers set both names.
dev: $(VENV)/.installed $(DRAWN)
	@$(BIN)/audit-assets dev --config $(CONFIG) $(if $(filter command,$(origin PORT)),--port $(PORT)) $(if $(filter command,$(origin HOST)),--host $(HOST))

# On two cores at once: the files of tests are independent, and each process makes its own finished audit.
test: lint $(DRAWN)
	@$(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder -m "not long and not faults"

# Three processes even on two cores: the tests of services wait for these much of their time.
test-all: lint $(DRAWN)
	@.ci/services
	@$(BIN)/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder -m "not faults"

# This target makes more than 250 faults in copies of the small audit, two at a time. Some tests need the right to mount and Debian's
# faketime. Without them, pytest skips these tests and prints the reason.
test-faults: $(VENV)/.developing $(DRAWN)
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m faults -rs audit_assets_tests/faults

# This target runs the fast tests on every Python that is installed. NEWEST=1 takes the newest releases that pyproject.toml allows.
test-matrix: $(DRAWN)
	@.ci/matrix

# This target looks for known vulnerabilities of the installed packages. It asks an advisory service, so it needs a network.
audit-dependencies: $(VENV)/.developing
	@$(BIN)/pip check
	@$(BIN)/pip install -q pip-audit
	@$(BIN)/pip freeze --exclude-editable > $(VENV)/frozen.txt
	@$(BIN)/pip-audit --disable-pip --no-deps -r $(VENV)/frozen.txt

# On a busy machine mypy's workers may not answer in time, which ends mypy with an internal error. Then it checks the types by itself.
lint: $(VENV)/.developing
	@$(BIN)/ruff check audit_assets audit_assets_tests benchmarks docs docker
	@$(BIN)/lint-imports --no-cache --no-logo
	@$(BIN)/mypy --num-workers 2 || $(BIN)/mypy

# This target measures every stage beside its peers. It takes more than an hour on two cores. Run nothing else on the machine:
# otherwise the figures timed by the clock are wrong.
bench: $(VENV)/.developing $(DRAWN)
	@$(BIN)/python -m benchmarks --page

bench-roster bench-measurement bench-store bench-whole bench-report bench-cells bench-buckets bench-growth: bench-%: $(VENV)/.developing $(DRAWN)
	@$(BIN)/python -m benchmarks --only $*

# GPU=1 measures a GPU in at most eight minutes. It needs torch, diffusers and transformers, and not this project's installation.
ifdef GPU
bench-generation:
	@$(or $(wildcard $(BIN)/python),python3) -m benchmarks.gpu
else
bench-generation: $(VENV)/.developing $(DRAWN)
	@$(BIN)/python -m benchmarks.generation
endif

miniature: $(VENV)/.installed
	@$(BIN)/python -m audit_assets.miniature.training

# This target makes the pictures of the README from a finished audit. It needs Chromium.
screenshots: $(VENV)/.developing
	@$(BIN)/python -m docs.screenshots $(CONFIG)

# This target makes the tables and the figure of docs/statistics.md from simulated audits.
simulate: $(VENV)/.installed
	@$(BIN)/python -m benchmarks.simulation

# This target tunes the miniature on the works of an artist whom it never saw, as they are and with noise on them, and audits both (docs/arms.md).
defence: $(VENV)/.developing $(DRAWN)
	@$(BIN)/python -m benchmarks.defence

clean:
	rm -rf $(VENV) $(MINIATURE)/generated $(MINIATURE)/warehouse $(MINIATURE)/warehouse-small $(MINIATURE)/.dagster

$(VENV)/bin/python:
	@$(PYTHON) -m venv $(VENV)

# pip installs torch first: the pin takes the build for the CPU if pip's index offers one. uv installs the rest, in a seventh of pip's time.
# uv does not read pip's settings. If these name an index in place of the public one, or if uv fails, pip installs. Neither compiles: Python
# does this when it first imports a module, and an installation has ten times as many modules as anybody imports.
own_index = $(BIN)/pip config list | grep -E "[.](index-url|no-index)=" > /dev/null
install = { ! { $(own_index); } && $(BIN)/uv pip install -q --python $(BIN)/python -c constraints.txt $(1) 2>> $(VENV)/uv.log; } \
	|| { echo "pip installs, which takes longer than uv"; $(BIN)/pip install -q --no-compile -c constraints.txt $(1); }

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing into $(VENV) (a minute or more, once)"
	@$(BIN)/pip install -q --no-compile -c constraints.txt torch
	@$(BIN)/pip install -q --no-compile -c constraints.txt uv 2> $(VENV)/uv.log || true
	@$(call install,-e .)
	@touch $@

$(VENV)/.developing: $(VENV)/.installed
	@$(call install,-e ".[dev]")
	@touch $@

# While one core draws, another compiles the loops of the measurement, for which an audit would wait.
$(DRAWN): $(VENV)/.installed audit_assets/miniature/world.py audit_assets/miniature/works.py audit_assets/miniature/draw.py
	@$(BIN)/python -m audit_assets.measurement.compile_kernels & compiling=$$!; \
		$(BIN)/python -m audit_assets.miniature.draw $(MINIATURE) && wait $$compiling
	@touch $@
