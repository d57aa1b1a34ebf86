# What people do with this project. `make run` needs nothing but Python 3.11 or newer and make.
PYTHON ?= python3
VENV := .venv
# Processes that run the tests; those of one file stay together, as they share servers and models.
JOBS ?= 2
BIN := $(VENV)/bin

export BENTOML_DO_NOT_TRACK := True
# DVC's site cache holds pickles; by default it lies where everybody may write.
export DVC_SITE_CACHE_DIR := $(CURDIR)/.dvc/private/site-cache

# For `make fuzz`: an interrupted run goes on when it is started again; ORACLE names another Python to ask.
SEED ?= 1
STREAMS ?= 1000000
ORACLE ?=
.PHONY: help venv build run capabilities test test-kills fuzz fuzz-coverage contract bench evaluate-stream lint format docs clean evaluate side-by-side libraries

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

$(VENV)/.installed: pyproject.toml setup.py constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools wheel
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[all,dev]'
	mkdir -p build && touch build/.compiled $@

venv: $(VENV)/.installed ## install everything into .venv

.dvc/private:
	mkdir -m 700 -p $@

COMPILED := bytecode/carried bytecode/describe bytecode/literals bytecode/machine containers/pickle_walk inference matrix record
build/.compiled: $(COMPILED:%=safepickle/%.py) $(wildcard safepickle/*.pxd safepickle/*/*.pxd) setup.py | venv
	$(BIN)/python setup.py --quiet build_ext --inplace --force
	touch $@

build: venv build/.compiled ## compile the core again after a change

run: build .dvc/private ## train if needed, serve, scan a sample (ONCE=1 stops then)
	PATH="$(CURDIR)/$(BIN):$$PATH" dvc repro
	PATH="$(CURDIR)/$(BIN):$$PATH" ONCE=$(ONCE) bash scripts/run

evaluate: build .dvc/private ## train if needed; evaluate, hide, ablate; write docs/evaluation-report.html
	PATH="$(CURDIR)/$(BIN):$$PATH" dvc repro
	$(BIN)/python -m pipelines.ablation
	$(BIN)/python -m pipelines.report

side-by-side: build ## ask four other scanners about the same files (SAFEPICKLE_CORPUS names the real ones)
	$(BIN)/python -m benchmarks.side_by_side

libraries: build ## have libraries in many versions save files again, for data/seed (downloads about 20 GB once)
	$(BIN)/python -m pipelines.libraries

capabilities: build ## make the capability table again from source (downloads about 1 GB once)
	$(BIN)/python -m pipelines.capabilities
	$(BIN)/python -m pipelines.capabilities.figures --write

test: build .dvc/private ## run the tests
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

test-kills: build .dvc/private ## kill every process of the learning loop at every step while scans run (half an hour)
	SAFEPICKLE_KILLS=1 $(BIN)/python -m pytest -s -p no:randomly tests/loop/test_kills.py

fuzz: build ## hold the machine against CPython's unpicklers (SEED=1 STREAMS=1000000 ORACLE=python3.13)
	$(BIN)/python -m tests.bytecode.fuzz --seed $(SEED) --streams $(STREAMS) --oracle "$(ORACLE)"

SCHEMATHESIS := build/schemathesis/bin/schemathesis
$(SCHEMATHESIS):
	$(PYTHON) -m venv build/schemathesis
	build/schemathesis/bin/python -m pip install --quiet schemathesis==4.32.5

contract: build $(SCHEMATHESIS) ## hold the service against its OpenAPI document (SEED=1)
	$(BIN)/python -m tests.serving.contract $(SCHEMATHESIS) --seed $(SEED)

SECONDS ?= 60
TARGET ?= all
fuzz-coverage: build ## fuzz the readers guided by coverage: TARGET=all|machine|zip|tar|7z|..., SECONDS=60
	$(BIN)/python -m pip install --quiet -c constraints.txt atheris
	$(BIN)/python -m tests.guided.fuzz --target $(TARGET) --seconds $(SECONDS)

bench: build ## measure speed beside other scanners, write docs/benchmarks.md (QUICK=1: shorter, writes nothing)
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick)

evaluate-stream: build .dvc/private ## measure learning over time, write docs/learning-over-time.md (resumable)
	PATH="$(CURDIR)/$(BIN):$$PATH" dvc repro split
	$(BIN)/python -m pipelines.stream $(ARGS)

lint: venv ## check format, style, types, imports, and that the reference is up to date
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/build.py --check

format: venv ## lay the sources out
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: venv ## write docs/cli.md from the command lines
	$(BIN)/python docs/build.py

clean: ## remove what was built, not what was trained
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find safepickle -name '*.so' -o -name '*.pyd' | xargs rm -f
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
