# The two main commands are `make run` and `make test`. Both install missing dependencies first.

.DEFAULT_GOAL := help
.PHONY: help run envoy check test test-german chaos mutants scale load ha scaffold upgrade bench conformance rules fuzz image deb release setup lint fmt proto alerts openapi clients console

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

run: ## Install missing dependencies, build, and serve with a private Postgres until Ctrl-C (ARGS=--empty without sample data)
	@scripts/run $(ARGS)

envoy: ## Start Envoy in front of a running server until Ctrl-C (ARGS='HOST:PORT HOST:PORT' for server and listener)
	@scripts/envoy $(ARGS)

check: ## Check formatting, clippy, unit and contract tests, in two minutes (ARGS=FILTER selects tests)
	@scripts/check $(ARGS)

test: ## Install missing dependencies, then check and test everything against a real Postgres and Redis
	@scripts/test

# Errors are recognized by their SQLSTATE, not by their texts, which Postgres writes in the language of its server.
test-german: ## Run the tests with German messages of Postgres, on Linux (ARGS=NAME selects)
	@MAINSTAY_TEST_LANGUAGE=de scripts/test $(or $(ARGS),-E 'not binary(scale)')

chaos: ## Charge and refund through a thousand rounds of random faults (ARGS='ROUNDS SEED')
	@scripts/chaos $(ARGS)

mutants: ## Mutation tests: break one promise at a time, and report those that no test detects (ARGS='--only PATTERN', --new, --record, --resume)
	@scripts/mutants $(ARGS)

scale: ## Check the query plans of all lists and lookups with a million tickets (ARGS=ROWS)
	@SCALE_ROWS=$(or $(ARGS),1000000) NEXTEST_PROFILE=long scripts/test -E 'binary(scale)' --no-capture

load: ## Serve a steady load through restarts, lost servers and overload (ARGS='REQUESTS_PER_SECOND PHASE_SECONDS SOAK_SECONDS')
	@scripts/load $(ARGS)

ha: ## Serve a steady load with Patroni, etcd and HAProxy while leaders of Postgres are replaced (ARGS=REQUESTS_PER_SECOND)
	@scripts/ha $(ARGS)

scaffold: ## Generate a repository with `mainstay new` and `mainstay add`, and run its tests
	@scripts/setup test
	@scripts/scaffold

upgrade: ## Test a rolling upgrade: the previous release and this version over one database (ARGS=REVISION for another one)
	@scripts/upgrade $(ARGS)

bench: ## Measure throughput, latency and CPU, compared to a bare server and pgbench (ARGS=--quick is shorter)
	@scripts/bench $(ARGS)

conformance: ## Run protobuf's own conformance suite on the JSON transcoder
	@scripts/conformance

rules: ## Compare validation with protovalidate on random messages (ARGS=SEED for others)
	@scripts/rules $(ARGS)

fuzz: ## Compare the JSON transcoder with another implementation, then fuzz it for a minute (ARGS=600 for ten minutes)
	@scripts/fuzz $(ARGS)

image: ## Build the OCI image of a release, without a daemon (ARGS=FILE.tar)
	@scripts/image $(or $(ARGS),mainstay.tar)

deb: ## Build the Debian package of a release (ARGS=FILE.deb)
	@scripts/deb $(or $(ARGS),mainstay.deb)

release: ## Build what a release publishes: program, packages of Debian, npm and PyPI, images, bill of materials (ARGS=DIRECTORY)
	@scripts/release $(or $(ARGS),release)

setup: ## Only install the dependencies of `make test` and `make run`
	@scripts/setup test

lint: ## Check formatting, clippy, dependency rules, workflows, links of the documentation, and secrets in the sources
	@scripts/lint

fmt: ## Format Rust and Protobuf sources
	cargo fmt --all
	@scripts/proto format

proto: ## Lint the Protobuf contract, check its format and its backward compatibility
	@scripts/proto check

alerts: ## Check the alert rules for Prometheus, and run their unit tests
	@scripts/alerts

openapi: ## Lint the OpenAPI document, and fuzz a throwaway server with it
	@scripts/setup test
	@scripts/openapi lint
	@scripts/with_server scripts/openapi fuzz

console: ## Build the web console, and test it in a browser against a throwaway server
	@scripts/setup test
	@scripts/console build
	@scripts/console check
	@SERVER=fleet scripts/with_server scripts/console test

clients: ## Generate, compile and run the example clients against a throwaway server, and through Envoy
	@scripts/setup test
	@TRUSTED_PROXY_HOPS=1 scripts/with_server sh -c 'scripts/clients && scripts/with_envoy scripts/clients'
