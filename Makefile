# Every target works on a fresh machine that has Python (3.11 or newer), make and git.
PYTHON ?= python3
PORT   ?= 4566
ARGS   ?=
DOCS_PORT ?= 8000

BIN := .venv/bin
RUN := PATH="$(CURDIR)/$(BIN):$(PATH)" $(BIN)/tollgate
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export SAM_CLI_TELEMETRY := 0

.PHONY: help run up down demo test test-fast test-deep mutants fuzz soak lint format bench costs growth screenshots openapi docs docs-serve prices dead-letters redrive deploy clean lock tools clients
.DEFAULT_GOAL := help

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 14

run: tools  ## build, start the local stack, deploy, apply the example catalog; stay until Ctrl-C
	$(RUN) stack run --port $(PORT)

up: tools  ## the same in the background
	$(RUN) stack up --port $(PORT)

down: tools  ## stop what `make up` started (state stays in .local/)
	$(RUN) stack down

demo: up  ## replay real LLM traffic against the running stack: make demo ARGS="--trace file.csv"
	$(RUN) demo $(ARGS)

# Two at a time, each with servers of its own; the stack is built once, before them.
test: tools clients .local/dynamodb-local/DynamoDBLocal.jar  ## every test, on the emulators and through the deployed stack
	$(RUN) stack build
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

test-fast: .venv/.ready .venv-sam/.ready  ## what needs no servers, with few examples of each property
	$(BIN)/python -m pytest -n 2 -m "not servers" --hypothesis-profile=fast $(ARGS)

test-deep: .venv/.ready  ## the property tests with thousands of examples: make test-deep ARGS="--hypothesis-seed=1"
	$(BIN)/python -m pytest -n 2 -m property --hypothesis-profile=deep $(ARGS)

mutants: .venv/.ready  ## small defects of the domain that no fast test notices: make mutants ARGS="--sample 80"
	$(BIN)/python -m tests.mutants $(ARGS)

fuzz: tools clients  ## calls that nobody would make, drawn from the OpenAPI documents: make fuzz ARGS="--minutes 10"
	$(BIN)/python -m tests.fuzz $(ARGS)

soak: .venv/.ready .local/dynamodb-local/DynamoDBLocal.jar  ## production's mix under faults, proved to the unit: make soak ARGS="--operations 1000000"
	$(BIN)/python -m tests.soak $(ARGS)

# Regions of each kind: large ones, small ones, and the partitions of the US government and of China.
REGIONS := us-east-1 us-west-2 eu-west-1 eu-central-1 ap-northeast-1 ap-southeast-2 sa-east-1 us-gov-west-1 cn-north-1

lint: .venv/.ready .venv-sam/.ready .venv-checkov/.ready console/node_modules/.ready  ## ruff, mypy, import-linter, the console's types; sam validate, cfn-lint, checkov
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(NODE) console/node_modules/.bin/tsc -p console/jsconfig.json
	AWS_DEFAULT_REGION=us-east-1 .venv-sam/bin/sam validate
	.venv-sam/bin/cfn-lint --regions $(REGIONS) --template template.yaml
	.venv-checkov/bin/checkov --config-file .checkov.yaml
	$(MAKE) docs

format: .venv/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

screenshots: up clients  ## take the pictures of the console that the README shows
	$(BIN)/python -m tests.e2e.screenshots

openapi: .venv/.ready  ## the OpenAPI documents of all routes, from what serves them
	$(RUN) openapi

docs: .venv/.ready .venv-site/.ready site/node_modules/.ready  ## the documentation as a site, in .local/site
	$(BIN)/python -m tollgate_cli.site
	.venv-site/bin/zensical build --strict --clean

docs-serve: docs  ## the same on 127.0.0.1: make docs-serve DOCS_PORT=8000
	.venv-site/bin/zensical serve --dev-addr 127.0.0.1:$(DOCS_PORT)

prices: .venv-prices/.ready  ## what tokens of AI models cost, anew: take a newer genai-prices into requirements/prices.txt first
	.venv-prices/bin/python tollgate_cli/model_prices.py

dead-letters: .venv/.ready  ## what was given up on, with reasons; make redrive sends it again
	$(RUN) dead-letters list

redrive: .venv/.ready  ## send every dead letter where it came from
	$(RUN) dead-letters redrive

bench: tools .local/dynamodb-local/DynamoDBLocal.jar $(if $(findstring --peers,$(ARGS)),.venv-peers/.ready)  ## what a check costs: requests, units, CPU, wall, import, size
	$(BIN)/python -m tests.bench $(ARGS)

costs: .venv/.ready .venv-sam/.ready  ## what an idle stack and a million checks cost, from the template and tests/bench/prices.toml
	$(BIN)/python -m tests.bench.costs

growth: tools .local/dynamodb-local/DynamoDBLocal.jar  ## what calls cost as things grow, at three sizes: make growth ARGS="--only events --rounds 0"
	$(BIN)/python -m tests.bench.growth $(ARGS)

# The functions run on the Python of .venv: `make PYTHON=python3.13 deploy` in a fresh checkout for another one.
STACK      ?= tollgate
PARAMETERS ?=

deploy: tools  ## build and deploy to the AWS account of your credentials: make deploy PARAMETERS="Architecture=x86_64"
	$(RUN) deploy --stack $(STACK) $(foreach parameter,$(PARAMETERS),--parameter $(parameter)) -- $(ARGS)

clean: ## stop the stack; remove environments, build output and local state
	@if [ -x $(BIN)/python ]; then $(RUN) stack down; fi
	rm -rf .venv .venv-sam .venv-emulator .venv-runtime .venv-checkov .venv-lotus .venv-flexprice .venv-peers .venv-prices .venv-schemathesis .venv-generated .venv-moto .venv-site tests/clients/node_modules console/node_modules site/node_modules .cache .aws-sam .local .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

COMPILE = $(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-header

lock: .venv/.ready  ## compile the lock files anew, to current releases
	$(COMPILE) pyproject.toml -o layers/tollgate/requirements.txt
	$(COMPILE) pyproject.toml --extra cli requirements/dev.in -o requirements/dev.txt
	for r in uv sam checkov emulator runtime lotus flexprice peers prices schemathesis generated site moto; do $(COMPILE) requirements/$$r.in -o requirements/$$r.txt || exit 1; done
	for p in tests/clients console functions/reference site; do $(NPM) $$p update --package-lock-only || exit 1; done

tools: .venv/.ready .venv-sam/.ready .venv-emulator/.ready .venv-lotus/.ready console/node_modules/.ready

# What the tests alone run: AWS's runtime, clients that need other dependencies, and those in JavaScript.
clients: .venv-site/.ready site/node_modules/.ready .venv-runtime/.ready .venv-flexprice/.ready .venv-prices/.ready .venv-schemathesis/.ready .venv-generated/.ready .venv-moto/.ready tests/clients/node_modules/.ready

# pip installs the locked uv, uv installs the rest (a tenth of the time) and the checkout itself, as it lies here.
.venv/.ready: requirements/uv.txt requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --require-hashes -r requirements/uv.txt
	$(BIN)/uv pip sync -q --compile-bytecode --python $(BIN)/python requirements/dev.txt
	$(BIN)/uv pip install -q --no-deps --no-build-isolation --python $(BIN)/python --editable .
	@touch $@

.venv-%/.ready: requirements/%.txt | .venv/.ready
	$(PYTHON) -m venv --without-pip .venv-$*
	$(BIN)/uv pip sync -q --compile-bytecode --python .venv-$*/bin/python $<
	@touch $@

NODE = PATH="$(CURDIR)/$(BIN):$(PATH)"
NPM  = $(NODE) $(BIN)/npm --loglevel=error --prefix

%/node_modules/.ready: %/package.json %/package-lock.json %/.npmrc | .venv/.ready
	$(NPM) $* ci
	@touch $@

.local/dynamodb-local/DynamoDBLocal.jar: .venv/.ready
	$(RUN) tools dynamodb-local
