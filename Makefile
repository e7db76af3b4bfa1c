# Two commands matter: `make run` and `make test`. Both work in a bare clone and set up what they need in .venv.
.DEFAULT_GOAL := help
.PHONY: help setup run check test prove prove-durable prove-faults load bench profile image-test lock sbom openapi sdk-models kotlin react-native format clean

HOST ?= 127.0.0.1
PORT ?= 8080
DATA ?= ./data
BIN := .venv/bin
SBOM := build/sbom.cdx.json
# What pytest runs at once; each worker has servers of its own.
JOBS ?= 2
# What kills and traces: slower than all other proofs together.
DURABLE := tests/chaos/test_kill.py tests/chaos/test_fsync.py
# More words for pytest: make test ARGS="tests/core -x"
ARGS ?=

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Make .venv with exactly the locked packages (PYTHON= chooses the Python)
	@sh deploy/setup.sh

run: setup ## Serve the API with demo guests and printed tokens on SQLite (HOST, PORT, DATA)
	@exec $(BIN)/guestprefs serve --demo --host $(HOST) --port $(PORT) --data $(DATA)

check: setup ## Lint, types, layers and the rules of the house; under a minute
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	cd clients/python/src && ../../../$(BIN)/lint-imports --config ../pyproject.toml
	$(BIN)/python -m pytest -q tests/test_house.py

test: setup ## Run the suite against real PostgreSQL and Valkey that it starts itself; about ten minutes
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not prove" $(ARGS)

prove: setup ## Prove the cache at length: the model, live histories under faults, planted faults; about 20 minutes
	$(BIN)/python -m pytest -m prove tests/cache tests/histories $(ARGS)

prove-durable: setup ## Kill servers mid-write again and again, and trace every sync to disk; about half an hour
	$(BIN)/python -m pytest -m prove $(DURABLE) $(ARGS)

prove-faults: setup ## The other long checks: faults, overload, drain, disconnects at their numbers, and planted faults
	$(BIN)/python -m pytest -m prove tests --ignore=tests/cache --ignore=tests/histories $(DURABLE:%=--ignore=%) $(ARGS)

load: setup ## Put load on a demo server and write a report
	$(BIN)/python -m loadtests.run

bench: setup ## Measure against limits and peers, print the budget (PEERS=folder, GROWTH=full, GROWTH_DATA=folder, ARGS="--rows hot/")
	$(BIN)/python -m loadtests.bench $(ARGS)

profile: setup ## Show where the time of an answer goes: py-spy, instructions by callgrind (ARGS="--calls hot")
	$(BIN)/python -m loadtests.bench.profiling $(ARGS)

image-test: setup ## Build the container image, start it confined, use it, hold it to the rules, start it again
	@bash deploy/image-test.sh

lock: setup ## Write the lock files anew (UPGRADE=1 takes the newest versions)
	@sh deploy/lock.sh $(if $(UPGRADE),--upgrade)

sbom: setup ## Write a bill of materials (CycloneDX) of what the service is made of to build/sbom.cdx.json
	@mkdir -p $(dir $(SBOM))
	$(BIN)/python -m cyclonedx_py requirements requirements.txt --pyproject pyproject.toml --mc-type application --spec-version 1.6 --output-format JSON --output-reproducible --validate --output-file $(SBOM)

openapi: setup ## Write clients/openapi.json anew
	$(BIN)/guestprefs openapi --out clients/openapi.json

sdk-models: setup ## Write the models of both clients anew from clients/openapi.json
	$(BIN)/python -m clients.python.generate
	$(BIN)/python -m tests.clients.node clients/typescript
	$(BIN)/python -m clients.typescript.generate

kotlin: setup ## Generate a Kotlin client from clients/openapi.json, compile it and read with it (Debian; fetches 170 MB)
	$(BIN)/python -m tests.clients.kotlin.toolchain
	$(BIN)/python -m pytest -m prove tests/clients/kotlin $(ARGS)

react-native: setup ## Run the TypeScript client in React Native's JavaScript and the Hermes VM (Linux; fetches 90 MB from npm)
	$(BIN)/python -m tests.clients.node tests/clients/react_native
	$(BIN)/python -m pytest -m prove tests/clients/react_native $(ARGS)

format: setup ## Put the code in its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove .venv and what the tools left; data stays
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .schemathesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
