# The chores of the project. `make demo` is the way in, `make test` the way to trust a change.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DEMO   := demo
UV     := $(shell command -v uv 2>/dev/null)

ADD    := $(if $(UV),uv pip install -p $(BIN)/python,$(BIN)/python -m pip install)

# What is fetched is said, a line each; what is there already, and the list of a hundred packages at the end, is not.
NOISE  := ^ [-+~] |^Requirement already|^  (Using cached|Preparing|Installing build|Getting requirements|Checking)
QUIETLY = rm -f $(VENV)/.failed; { $(1) 2>&1 || touch $(VENV)/.failed; } | grep --line-buffered -vE '$(NOISE)'; ! rm $(VENV)/.failed 2>/dev/null

export FILMROOM_ARCHIVE ?= $(DEMO)/archive

.PHONY: demo install docs test quick lint format serve bench fuzz mutate audit clean

demo: $(VENV)/.installed
	@echo "== 1 of 5: drawing synthetic chest films into $(DEMO)/films"
	$(BIN)/filmroom demo $(DEMO)
	@echo "== 2 of 5: indexing them: each is decoded, embedded and kept in $(FILMROOM_ARCHIVE)"
	$(BIN)/filmroom index $(DEMO)/films
	@echo "== 3 of 5: reading their labels and reports"
	$(BIN)/filmroom label $(DEMO)/labels.csv
	$(BIN)/filmroom report $(DEMO)/reports.csv
	@echo "== 4 of 5: searching them"
	$(BIN)/filmroom search "pleural effusion view:PA" -k 5
	$(BIN)/filmroom search "pacemaker" -k 5
	$(BIN)/filmroom search "emphysema without pneumothorax" -k 5
	@echo "== 5 of 5: measuring the search by queries with judgements"
	$(BIN)/filmroom evaluate --queries $(DEMO)/queries.tsv --qrels $(DEMO)/qrels.txt
	@echo
	@echo "Now open the reading room:  make serve    (then the address that it prints)"

serve: $(VENV)/.installed
	$(BIN)/filmroom serve

install: $(VENV)/.installed

docs: $(VENV)/.tested-with
	$(BIN)/python docs/make_commands.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	@echo "Open build/site/index.html"

# A worker a processor. The tests of one file share what they have made, and stay together, in the order of tests/conftest.py.
SIDE_BY_SIDE = -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

# Byte code is kept whatever the system says: without it every process that a test starts compiles all that it imports.
# One thread each of OpenMP, whose threads turn in circles while they wait for one that has no processor.
test: export PYTHONDONTWRITEBYTECODE =
test: export OMP_NUM_THREADS = 1
test: $(VENV)/.tested-with
	$(BIN)/python -m pytest $(SIDE_BY_SIDE)

# Without what takes long and what needs a browser.
quick: export PYTHONDONTWRITEBYTECODE =
quick: export OMP_NUM_THREADS = 1
quick: $(VENV)/.tested-with
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not slow and not browser"

lint: $(VENV)/.tested-with
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.tested-with
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Minutes of inputs that nobody thought of: coverage-guided for the decoder, properties for queries and tables.
fuzz: $(VENV)/.tested-with
	$(ADD) atheris
	$(BIN)/python tests/fuzz_decoder.py .fuzz -max_total_time=$(or $(SECONDS),300) -timeout=10 -rss_limit_mb=3000 -max_len=20000
	$(BIN)/python -m pytest -q tests/search/test_any_text.py --hypothesis-profile=fuzz

# Small faults put into a part of the program, one at a time: which of them does no test notice? Minutes for a module.
#     make mutate PART=db/erasure/forget.py TESTS=tests/db/test_forget.py
mutate: $(VENV)/.tested-with
	$(ADD) "mutmut>=3.8"
	$(BIN)/python -m tests.mutants $(or $(PART),db) $(TESTS)

# Known vulnerabilities in what is installed. Asks the advisory service of PyPI, and fails where it does not answer.
audit: $(VENV)/.tested-with
	$(ADD) pip-audit
	$(BIN)/python -m pip_audit --strict --progress-spinner off

# The scripts that need neither films, a server nor a browser; benchmarks/README.md names the others, and what they need.
BENCH = cold_start latency growth labels indexing phantom forgetting rest trust
bench: $(VENV)/.tested-with
	for script in $(BENCH); do echo "== $$script"; $(BIN)/python benchmarks/$$script.py || exit 1; done

$(BIN)/python:
	@echo "== Making an environment in $(VENV)"
ifdef UV
	@uv venv --quiet --python '>=3.11,<3.14' $(VENV)
else
	@$(PYTHON) -m venv $(VENV)
endif

# What a query and the page import, as byte code: some systems are told to write none, and would compile at every start.
COMPILE = $(BIN)/python -m compileall -q __init__.py app.py cli.py assets db indexer search && \
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -c "import alembic, streamlit.web.bootstrap, filmroom.search.searcher, filmroom.search.cli.output, filmroom.indexer.decoding.workers, filmroom.indexer.decoding.dicom.read, faiss, onnxruntime, tokenizers"

# An editable install: the checkout is the program. Links to its rooms in the environment make it the package `filmroom`
# for Python, editors, mypy and pytest alike, whatever the folder of the checkout is called.
ROOMS = __init__.py app.py cli.py py.typed assets db indexer search
LINK = site="$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/filmroom"; \
	rm -rf "$$site"; mkdir -p "$$site"; for room in $(ROOMS); do ln -s "$(CURDIR)/$$room" "$$site/$$room"; done

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo "== Installing Filmroom and what it needs into $(VENV): gigabytes the first time, minutes"
	@$(call QUIETLY,$(ADD) -e .)
	@$(LINK)
	@echo "== Compiling what a query and the pages import"
	@$(COMPILE)
	@touch $@

$(VENV)/.tested-with: pyproject.toml | $(BIN)/python
	@echo "== Installing Filmroom and what its tests need into $(VENV): gigabytes the first time, minutes"
	@$(call QUIETLY,$(ADD) -e '.[test]')
	@$(LINK)
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) $(DEMO) .fuzz build *.egg-info .pytest_cache .mypy_cache .ruff_cache
