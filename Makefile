# The chores of the project. `make demo` is the way in, `make test` the way to trust a change.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DEMO   := demo
UV     := $(shell command -v uv 2>/dev/null)

export FILMROOM_ARCHIVE ?= $(DEMO)/archive

.PHONY: demo install docs test lint format serve bench clean

demo: $(VENV)/.installed
	$(BIN)/filmroom demo $(DEMO)
	$(BIN)/filmroom index $(DEMO)/films
	$(BIN)/filmroom label $(DEMO)/labels.csv
	$(BIN)/filmroom report $(DEMO)/reports.csv
	$(BIN)/filmroom search "pleural effusion view:PA" -k 5
	$(BIN)/filmroom search "pacemaker" -k 5
	$(BIN)/filmroom search "emphysema without pneumothorax" -k 5
	$(BIN)/filmroom evaluate --queries $(DEMO)/queries.tsv --qrels $(DEMO)/qrels.txt
	@echo
	@echo "Now open the reading room:  make serve    (then http://localhost:8501)"

serve: $(VENV)/.installed
	$(BIN)/filmroom serve

install: $(VENV)/.installed

docs: $(VENV)/.tested-with
	$(BIN)/python docs/make_commands.py

test: $(VENV)/.tested-with
	$(BIN)/python -m pytest

lint: $(VENV)/.tested-with
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.tested-with
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.tested-with
	for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

$(BIN)/python:
ifdef UV
	uv venv --python '>=3.11,<3.14' $(VENV)
else
	$(PYTHON) -m venv $(VENV)
endif

# An editable install: the checkout is the program.
$(VENV)/.installed: pyproject.toml | $(BIN)/python
ifdef UV
	uv pip install -q -p $(BIN)/python -e .
else
	$(BIN)/python -m pip install -q -e .
endif
	touch $@

$(VENV)/.tested-with: pyproject.toml | $(BIN)/python
ifdef UV
	uv pip install -q -p $(BIN)/python -e '.[test]'
else
	$(BIN)/python -m pip install -q -e '.[test]'
endif
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) $(DEMO) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
