# The commands of the README. Each does its own set-up.
SHELL := /bin/bash
.DEFAULT_GOAL := help

.PHONY: help demo test bench build lint clean

help: ## Show what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

demo: ## Build, generate a network, run the service and a day of faults; left running until Ctrl-C
	@scripts/install-packages build
	cargo run --locked --quiet --bin forewarn -- demo

test: ## Format check, clippy, and all tests on SQLite and on a private PostgreSQL
	@scripts/install-packages build postgres python
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	scripts/with-postgres cargo test --locked --no-fail-fast

bench: ## Run all benchmarks, or one: make bench NAME=impact
	@scripts/install-packages build postgres $(if $(filter geography,$(or $(NAME),geography)),postgis)
	scripts/with-postgres cargo bench --locked --bench forewarn -- $(NAME)

build: ## Build the release binary: target/release/forewarn
	@scripts/install-packages build
	cargo build --locked --release --bin forewarn

lint: ## Format check and clippy only
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

clean: ## Remove everything that was built
	cargo clean
