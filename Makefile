# Each target sets itself up in .venv on a machine with Python 3.11 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# 500 labelled questions, the other 4,381 as text without labels, the 500 official test questions: minutes on two cores of any kind.
DEMO := --corpus trec-6 --preset small --set corpus.max_train=500 --set finetune.epochs=4 --set finetune.batch_size=24
# 500 labelled reviews and three passes over 10,000 without a label.
DEMO_IMDB := --corpus imdb --preset small --set finetune.epochs=3 --set corpus.max_train=500 --set corpus.max_unlabelled=10000 --set corpus.max_test=2000

# The services of a team on this machine; what they hold is in the folder STACK. OPTIONS count at the first start: see `make stack-help`.
STACK ?= .stack
PORT ?= 7300
OPTIONS ?=
LOCAL := $(BIN)/python -m infra.local

.PHONY: stack stack-help stack-status stack-down stack-test stack-faults stack-backup stack-restore
.PHONY: install dev demo demo-imdb test test-slow soak lint bench bench-fastai clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.11 ..."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[workflow]'
	@# Python compiles what it imports, a quarter of what the packages hold: here, for an environment may forbid it later.
	@for modules in 'cli.app, flows.train, flows.preprocess, flows.pretrain, distributed.nanny' \
	    'prefect.server.api.server, uvicorn, mlflow.pyfunc, matplotlib.pyplot, sklearn.linear_model, sklearn.feature_extraction.text'; \
	    do PYTHONDONTWRITEBYTECODE= $(BIN)/python -W ignore -c "import $$modules" & done; wait
	@touch $@

dev: $(VENV)/.dev

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[dev]'
	@# All of it, for the tests import more; on all cores, which pip does not. A few packages hold files that do not compile.
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
	@touch $@

demo: install
	$(BIN)/ulmfit train $(DEMO)

demo-imdb: install
	$(BIN)/ulmfit train $(DEMO_IMDB)

test: dev lint
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder --durations 10 -m 'not slow and not soak and not stack'

test-slow: dev
	$(BIN)/python -m pytest -q -m slow

soak: dev
	$(BIN)/python -m pytest -q -m soak tests/soak

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec infra/compose/*.yaml

bench: dev
	$(BIN)/python benchmarks/lm_speed.py
	$(BIN)/python benchmarks/scheduling.py
	$(BIN)/python benchmarks/latency.py

# Beside fastai, on the corpora in ULMFIT_DATA. It gets a folder of its own, so that nothing here changes for it.
bench-fastai: dev .fastai
	PYTHONPATH=.fastai $(BIN)/python benchmarks/fastai_tokens.py --agree
	PYTHONPATH=.fastai $(BIN)/python benchmarks/fastai_tokens.py --speed --part 3000 --rounds 5
	PYTHONPATH=.fastai $(BIN)/python benchmarks/preprocess_scale.py
	PYTHONPATH=.fastai $(BIN)/python benchmarks/fastai_training.py

.fastai: | dev
	$(BIN)/python -m pip install --quiet --target $@ --no-deps fastai==2.8.12 fastcore==2.2.39 fastprogress==1.0.3 fasttransform==0.0.5 \
	    fastdownload==0.0.7 plum-dispatch==2.9.0 beartype==0.23.1 cloudpickle==3.1.2

stack: $(VENV)/.stack
	$(LOCAL) up --folder $(STACK) --port $(PORT) $(OPTIONS)

stack-help: $(VENV)/.stack
	$(LOCAL) up --help

stack-status: $(VENV)/.stack
	@$(LOCAL) status --folder $(STACK)

stack-down: $(VENV)/.stack
	$(LOCAL) down --folder $(STACK)

stack-test: $(VENV)/.stack
	$(LOCAL) test --folder $(STACK)

stack-backup: $(VENV)/.stack
	$(LOCAL) backup --folder $(STACK) $(if $(TO),--to '$(TO)')

stack-restore: $(VENV)/.stack
	$(LOCAL) restore --folder $(STACK) --from '$(FROM)'

# Half an hour: services are killed in mid-run, on a stack of the tests' own.
stack-faults: dev
	$(BIN)/python -m pytest -q -s -m stack tests/stack

$(VENV)/.stack: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[stack]'
	@touch $@

clean:
	rm -rf $(VENV) .ulmfit .fastai
