# The commands of the README. Each does its own set-up.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# Of the command line only: the environment of a system may have its own.
NAME :=
TIMES := 20
# What `fuzz` runs if no NAME is given: the properties of the engine, the notices, the network, the areas,
# the detection and the effect.
PROPERTIES := streams commands onset joining nobody_is_told_what_is_not_so topology geography \
	detect::properties effect:: experience formats

.PHONY: help demo test fuzz bench build lint clean

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

fuzz: ## Random tests with cases of their own, many more: make fuzz TIMES=20 NAME=notice
	@scripts/install-packages build postgres
	@cargo test --locked --test it -- --list $(NAME) 2>/dev/null | grep -q ': test$$' \
		|| { echo "fuzz: no test has $(NAME) in its name, or they do not build" >&2; exit 1; }
	@export PROPTEST_RNG_SEED=$${SEED:-$$(od -An -N6 -tu8 /dev/urandom | tr -d ' ')} DRAWS=$(TIMES); \
	echo "SEED=$$PROPTEST_RNG_SEED TIMES=$$DRAWS"; \
	scripts/with-postgres cargo test --locked --test it -- $(or $(NAME),$(PROPERTIES))

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
