# `make` lists what there is. All targets build with one profile, so the dependencies are built once.

CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
MEDALLION := $(TARGET)/release/medallion
BUILD := $(CARGO) build --release --workspace --locked

EXPORTS := exports/reference
LAKE := lake
AS_OF := 2025-06-30
# The customer that CI generates, runs and counts, away from the one of `make run`.
CHECK := $(TARGET)/reference-check

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 18

.PHONY: build
build: ## Build the program into target/release/medallion
	$(BUILD)

.PHONY: run
run: build ## Build, generate the reference customer, run its night, show tables and a query
	$(MEDALLION) generate --profile reference --out $(EXPORTS)
	$(MEDALLION) run -c reference --source $(EXPORTS) --lake $(LAKE) --as-of $(AS_OF)
	$(MEDALLION) ls -c reference --lake $(LAKE)
	$(MEDALLION) query -c reference --lake $(LAKE) "SELECT fy_completed AS fiscal_year, \
	course_completion_status_for_fy AS status, count(*) AS courses \
	FROM gold.fact_course_history GROUP BY fy_completed, course_completion_status_for_fy ORDER BY 1, 2"

.PHONY: test
test: ## Run all tests
	$(CARGO) test --release --workspace --locked

.PHONY: stress
stress: ## Kill, interrupt and starve many runs, 200 or MEDALLION_STRESS=N, and compare with undisturbed ones
	MEDALLION_STRESS=$(or $(MEDALLION_STRESS),200) $(CARGO) test --release --workspace --locked --test whole_program \
		-- --nocapture kills:: together:: interrupts:: disk_full:: clock::

.PHONY: fmt
fmt: ## Format the code
	$(CARGO) fmt --all

.PHONY: fmt-check
fmt-check: ## Fail if the code is not formatted
	$(CARGO) fmt --all --check

.PHONY: lint
lint: ## Run clippy, warnings are errors
	$(CARGO) clippy --release --workspace --all-targets --locked -- --deny warnings

.PHONY: counts
counts: build ## Generate and run the reference customer, compare its row counts
	rm -rf $(CHECK)
	$(MEDALLION) generate --profile reference --out $(CHECK)/exports
	$(MEDALLION) run -c reference --source $(CHECK)/exports --lake $(CHECK)/lake --as-of $(AS_OF)
	$(MEDALLION) validate -c reference --lake $(CHECK)/lake --counts fixtures/reference_counts.toml

.PHONY: ci
ci: fmt-check test counts lint ## Everything a change has to pass

.PHONY: deploy-check
deploy-check: ## Check the files in deploy/ with the tools that are there (crontab, systemd-analyze, hadolint, ...)
	deploy/check

.PHONY: bench
bench: build ## Compare with the DuckDB implementation: same tables, how many times as fast (needs Python, see benches/peers)
	python3 benches/compare.py --medallion $(MEDALLION)

.PHONY: bench-hierarchy
bench-hierarchy: build ## Close 267,859 users and a chain of 20,000, compare with DuckDB and NetworkX (needs Python, see benches/peers)
	python3 benches/hierarchy.py --medallion $(MEDALLION)

.PHONY: fleet
fleet: build ## Run 500 generated customers (or FLEET=N), ten of them broken, then kill a fleet and finish it (needs Python)
	python3 benches/fleet.py --medallion $(MEDALLION) --customers $(or $(FLEET),500)

.PHONY: clean-data
clean-data: ## Remove the generated exports and lake of `make run`
	rm -rf $(EXPORTS) $(LAKE)/reference
