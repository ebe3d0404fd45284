# Two commands matter: `make run` and `make test`. Both install what is missing first.

# Outside the checkout, so that a clone stays clean and several clones share one build.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/mainstay
CARGO_TARGET_DIR ?= $(CACHE)/target
export CARGO_TARGET_DIR

.DEFAULT_GOAL := help
.PHONY: help run envoy test chaos bench fuzz setup lint fmt proto openapi clients

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

run: ## Install what is missing, build, and serve with a private Postgres until Ctrl-C
	@scripts/run

envoy: ## Start Envoy in front of a running server until Ctrl-C (ARGS='HOST:PORT HOST:PORT' for server and listener)
	@scripts/envoy $(ARGS)

test: ## Install what is missing, then check and test everything on a real Postgres and Redis
	@scripts/test

chaos: ## Charge and refund through a thousand rounds of random faults (ARGS='ROUNDS SEED' for another run)
	@scripts/chaos $(ARGS)

bench: ## Measure requests per second, latency and CPU beside a bare server and pgbench (ARGS=--quick for a look)
	@scripts/setup bench
	cargo bench --bench perimeter -- $(ARGS)

fuzz: ## Fuzz the JSON transcoder for a minute (ARGS=600 for ten)
	@scripts/fuzz $(ARGS)

setup: ## Only install what `make test` and `make run` need
	@scripts/setup test

lint: ## Formatting, clippy, dependency rules
	@scripts/lint

fmt: ## Format Rust and Protobuf sources
	cargo fmt --all
	@scripts/proto format

proto: ## Lint the Protobuf contract, check its format and that it breaks no client
	@scripts/proto check

openapi: ## Lint the OpenAPI document, and drive a throwaway server by it
	@scripts/setup test
	@scripts/openapi lint
	@scripts/with_server scripts/openapi fuzz

clients: ## Generate, compile and run the example clients against a throwaway server
	@scripts/setup test
	@scripts/with_server scripts/clients
