# make demo   sets up and runs the main job: check, cost, lower, run encrypted on real weights
# make test   sets up and passes the tests, but for those marked slow, which have a smaller stand-in (CI runs this)
# make test-slow passes the tests that take more than 10 s alone, and those that draw examples with all of them
# make fuzz   6,000 forged, damaged and foreign inputs for everything that is loaded from bytes
# make faults kills a service, its workers and its clients again and again, fills its disk and damages its files: docs/serving.md
# make scaling measures a service with one and two workers and models a thousand: docs/scaling.md
# make load   measures a service under 50 clients, one of 100 adapters and 1,000 sessions in 3 GB, and what HTTP adds
# make hostile sends 5,000 hostile requests to a service and looks at what comes back
# make bench  measures; no test depends on a time
# make bench-peers measures other libraries beside ours: installs them in .venv-peers where they can be (HElayers: non-commercial use)
# make columns compares matrix products with SEAL's operations: minutes, 2.5 GB of memory
# make noise  compares predicted with measured errors, for programs of the corpus and sets of parameters, and small weights
# make range  runs 10,000 random cases in and beyond the range of their parameters, and looks for results that are silently wrong
# make predict compares predicted with measured times, for the same
# make bounds searches every small two-product schedule for one below the bound
# make grid   searches the best schedule for a grid of shapes: docs/synth-grid.md
# make families proves 2,000 programs for all sizes and evaluates them by brute force at concrete sizes: an hour
# make prover times the check of every program of the corpus, at its sizes and at ten times them
# make test-page opens pages in headless Chromium and clicks through them; what it needs it installs, or says that it can't
# make kernels writes the compiled kernels in LLVM's language, by numba: after a change of theirs
# make page   bundles the editor of the page from editors/page, by node and npm: its built file is in the repository
# make page-pictures takes the pictures of docs/seeing.md again; make bench-page measures frames while hovering: both after make test-page
# make docs   builds the site of docs/ in build/site, in an environment of its own (.venv-docs), and checks its links
# make pictures draws the pictures of docs/ anew, with headless Chromium for photographs of pages
# make mutate changes programs one place at a time and compares the verdicts with brute force
# make mutate-runtime changes the runtime one place at a time and counts the changes that its tests see

PYTHON ?= python3
VENV := .venv
DOCS := .venv-docs
BIN := $(VENV)/bin
# commands that tests start are compiled once, as in an installation
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup kernels grammar library demo test test-slow test-page page page-pictures bench-page lint ruff mypy contracts bench bench-peers columns noise range predict fuzz faults scaling load hostile bounds grid families prover mutate mutate-runtime docs pictures clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "slotlang needs Python 3.11 or newer, and this is " + sys.version.split()[0] or 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

lint: setup
	@$(MAKE) --no-print-directory -j 2 mypy ruff contracts

ruff: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

mypy: setup
	$(BIN)/mypy

contracts: setup
	$(BIN)/lint-imports

test: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test-slow: setup
	SLOTLANG_EXAMPLES=all $(BIN)/python -m pytest -n 2 --dist worksteal -m "slow or drawn"

test-page: setup
	@mkdir -p build
	@sh tests/page/bring.sh; found=$$?; if [ $$found = 3 ]; then exit 0; elif [ $$found != 0 ]; then exit $$found; fi; \
	PYTHONPATH=build/browser $(BIN)/python -m pytest -n 2 --dist worksteal tests/page/test_browser*.py

page:
	cd editors/page && npm ci --ignore-scripts --no-audit --no-fund && npm run --silent build

page-pictures: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --target build/browser pillow
	PYTHONPATH=build/browser $(BIN)/python docs/make_screenshots.py

bench-page: setup
	PYTHONPATH=build/browser $(BIN)/python -m benchmarks.page_frames

fuzz: setup
	$(BIN)/python tests/runtime/fuzz_bytes.py 6000

faults: setup
	$(BIN)/python -m benchmarks.service_faults --docs

scaling: setup
	$(BIN)/python -m benchmarks.service_scaling --docs

load: setup
	$(BIN)/python -m benchmarks.service_load --docs
	$(BIN)/python -m benchmarks.service_http --docs

hostile: setup
	$(BIN)/python tests/hostile.py 5000

bench: setup
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.choices --docs
	$(BIN)/python -m benchmarks.schemes --docs

bench-peers: setup
	$(BIN)/python -m benchmarks.peers $(PEERS)

columns: setup
	$(BIN)/python -m benchmarks.columns 1024x16 4096x16 --json build/columns.json

noise: setup
	$(BIN)/python -m benchmarks.noise --docs
	$(BIN)/python -m benchmarks.noise_weights --docs

range: setup
	$(BIN)/python -m benchmarks.range --docs
	$(BIN)/python -m benchmarks.equalized --docs

predict: setup
	$(BIN)/python -m benchmarks.predict --docs

kernels: setup
	$(BIN)/python -m slotlang_runtime.kernels.texts

grammar: setup
	$(BIN)/python -m slotlang.syntax.tables

library: setup
	$(BIN)/python -m slotlang.syntax.library

bounds: setup
	$(BIN)/python tests/schedule_search.py

grid: setup
	$(BIN)/python -m benchmarks.grid

families: setup
	$(BIN)/python tests/proof/forall/sweep_families.py 2000

prover: setup
	$(BIN)/python -m benchmarks.prover

mutate: setup
	$(BIN)/python -m benchmarks.mutate --docs

mutate-runtime: setup
	$(BIN)/python -m benchmarks.runtime_score

docs: $(DOCS)/.ready
	$(DOCS)/bin/python docs/make_site.py
	$(DOCS)/bin/zensical build --clean --strict
	$(DOCS)/bin/python docs/make_site.py check

# the package is there for the colours of its programs alone, and needs none of its dependencies for that
$(DOCS)/.ready: pyproject.toml
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"
	$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check --group docs
	$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps .
	@touch $@

pictures: setup
	$(BIN)/python docs/make_pictures.py --screens

clean:
	rm -rf $(VENV) $(DOCS) .venv-peers build dist
