# Everything a person needs is `make run` and `make test`. The work is done by the scripts in .ci/.
.DEFAULT_GOAL := help
.PHONY: help run test install build check fmt sqlx wasm-size model clean-docker bench-rollback bench-growth chaos sabotage ci

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Install what is missing, build, and open the board of the bundled example (first time ~20 min)
	@.ci/start

test: ## Install what the tests need and run all of them: unit, integration, browser (first time ~1 h)
	@.ci/test

install: ## Install the tools that build and tests need; says what it cannot install
	@.ci/install base docker compose image-tools node nginx monitoring chromium rust npm-tools wasm-bindgen cargo-leptos nextest

build: ## Build the release: target/release/stagegate and target/site
	@.ci/install base node rust npm-tools wasm-bindgen cargo-leptos
	@.ci/build

check: ## Check format and lints, of the server's code and of the page's
	cargo fmt --all --check
	SQLX_OFFLINE=true cargo clippy --workspace --exclude frontend --all-targets -- -D warnings
	SQLX_OFFLINE=true cargo clippy -p frontend --target wasm32-unknown-unknown -- -D warnings

fmt: ## Format the code
	cargo fmt --all

sqlx: ## Rebuild .sqlx, the query data for builds without a database, after a change of queries or migrations
	@.ci/sqlx

wasm-size: ## Print what a browser fetches before the page is live, against its budget
	@.ci/wasm-size

model: ## Throw 100,000 random sequences of acts at the rules of gates, sign-offs and verdict (some minutes)
	SQLX_OFFLINE=true STAGEGATE_MODEL=100000 cargo test --config 'profile.dev.package.domain.opt-level=2' \
	  --config 'profile.dev.package.sha2.opt-level=3' -p domain --test model -- --nocapture

bench-rollback: ## Measure a rollback against the same command typed by hand; writes target/bench/rollback.json
	@.ci/long bench_rollback

bench-growth: ## Measure a store of years against a new one (~20 min); writes target/bench/growth.json
	@.ci/long bench_growth

chaos: ## Kill, cut off, fill up and race deploys and rollbacks (short form ~3 min, the long one: docs/measurements.md)
	@.ci/long chaos

sabotage: ## Spoil a copy of the example in sixty ways and look whether each is seen (~30 min); writes target/sabotage.json
	@.ci/sabotage

clean-docker: ## Remove containers, networks, volumes and images of the example and of the tests (base images stay)
	@.ci/clean-docker

ci: ## All that has to pass before a change is taken (same as .ci/run)
	@.ci/run
