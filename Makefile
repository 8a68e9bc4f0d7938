# The main targets are `make run` and `make test`. The scripts in .ci/ do the work.
.DEFAULT_GOAL := help
.PHONY: help run test install build check fmt sqlx wasm-size model clean-docker bench-rollback bench-growth chaos sabotage ci

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Install what is missing, build, and open the board of the bundled example (first time ~20 min)
	@.ci/start

test: ## Install what the tests need and run all of them: unit, integration, browser (first time ~1 h)
	@.ci/test

install: ## Install the tools for build and tests; lists what it cannot install
	@.ci/install base docker compose image-tools node nginx monitoring chromium rust npm-tools wasm-bindgen cargo-leptos nextest

build: ## Build the release: target/release/stagegate and target/site
	@.ci/install base node rust npm-tools wasm-bindgen cargo-leptos
	@.ci/build

check: ## Check format and lints of the server and the browser code
	cargo fmt --all --check
	SQLX_OFFLINE=true cargo clippy --workspace --exclude frontend --all-targets -- -D warnings
	SQLX_OFFLINE=true cargo clippy -p frontend --target wasm32-unknown-unknown -- -D warnings

fmt: ## Format the code
	cargo fmt --all

sqlx: ## Rebuild .sqlx (query data for builds without a database) after a change of queries or migrations
	@.ci/sqlx

wasm-size: ## Print the size of the code that a browser loads, compared with its budget
	@.ci/wasm-size

model: ## Test the rules of gates, sign-offs and verdict with 100,000 random sequences of actions (some minutes)
	SQLX_OFFLINE=true STAGEGATE_MODEL=100000 cargo test --config 'profile.dev.package.domain.opt-level=2' \
	  --config 'profile.dev.package.sha2.opt-level=3' -p domain --test model -- --nocapture

bench-rollback: ## Compare a rollback with the same commands run manually; writes target/bench/rollback.json
	@.ci/long bench_rollback

bench-growth: ## Compare a store with years of data with a new one (~20 min); writes target/bench/growth.json
	@.ci/long bench_growth

chaos: ## Test deploys and rollbacks with kills, cut networks, full disks and races (~3 min; see docs/measurements.md)
	@.ci/long chaos

sabotage: ## Break a copy of the example in sixty ways, check that each is seen (~30 min); writes target/sabotage.json
	@.ci/sabotage

clean-docker: ## Remove containers, networks, volumes and images of the example and of the tests (base images are kept)
	@.ci/clean-docker

ci: ## Everything that must pass before a change is accepted (same as .ci/run)
	@.ci/run
