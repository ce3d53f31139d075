# `make help` lists what there is. Every target says what it does and how far it is.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# What `make demo` passes to `berth demo`, for example ARGS="--speed 4 --for 2m".
ARGS ?=

# $(call say,step,text): make takes what follows a comma for another argument, up to two of them.
comma := ,
say = @printf '\n\033[1m[%s]\033[0m %s\n' "$(1)" "$(2)$(if $(3),$(comma)$(3))$(if $(4),$(comma)$(4))"

.PHONY: help
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Run the whole appliance on an embedded simulated cluster (no Kubernetes needed)
	$(call say,1/3,looking for what the build needs)
	@.ci/install-tools
	$(call say,2/3,building berth (some minutes the first time))
	cargo build --release --locked
	$(call say,3/3,berth demo $(ARGS))
	@cargo run --release --locked --quiet -- demo $(ARGS)

.PHONY: test
test: ## Install what is missing, then check and test everything: what CI runs
	$(call say,1/6,looking for what the build needs)
	@.ci/install-tools --browser
	$(call say,2/6,formatting)
	@$(MAKE) --no-print-directory format-check
	$(call say,3/6,lints; beside them etcd, Kubernetes and kwok are built for the tests (10 to 20 minutes the first time))
	@$(MAKE) --no-print-directory controlplane & building=$$!; \
	linted=0; $(MAKE) --no-print-directory lint || linted=$$?; \
	wait $$building; exit $$linted
	$(call say,4/6,tests of everything, with HiGHS)
	cargo test --locked --workspace
	$(call say,5/6,tests of what is decided, without HiGHS (pure Rust))
	cargo test --locked --package berth-solver --package berth-simulations --no-default-features
	$(call say,6/6,documentation and dependencies)
	@$(MAKE) --no-print-directory doc deny
	$(call say,done,everything passed)

.PHONY: controlplane
controlplane: ## Build the control plane that the tests run against, once per machine
	@if tests/controlplane/build.sh > /dev/null; then exit 0; \
	elif [ -n "$${CI:-}" ]; then exit 1; \
	else echo 'going on without it: the tests that need a real control plane will be skipped'; fi

.PHONY: build
build: ## Build the release binary target/release/berth
	cargo build --release --locked

.PHONY: format
format: ## Format the code
	cargo fmt --all

.PHONY: format-check
format-check: ## Check that the code is formatted
	cargo fmt --all --check

.PHONY: lint
lint: ## Run clippy with the features and without
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked --workspace --all-targets --no-default-features -- -D warnings

.PHONY: doc
doc: ## Build the documentation; a warning is an error
	RUSTDOCFLAGS='-D warnings -A rustdoc::private_intra_doc_links' cargo doc --locked --workspace --no-deps

.PHONY: deny
deny: ## Check licences and advisories of the dependencies, when cargo-deny is there
	@if cargo deny --version > /dev/null 2>&1; then cargo deny --all-features check; \
	else echo 'cargo-deny is not installed: licences and advisories are not checked (cargo install cargo-deny)'; fi

.PHONY: bench-solver
bench-solver: ## Measure how good plans are after how long; writes target/bench/solver.md and .json
	$(call say,bench,building (some minutes the first time), then seven minutes of measuring)
	@cargo bench --locked --no-default-features --package berth --bench solver

.PHONY: bench-simulation
bench-simulation: ## Replay the shared traces under every policy; writes target/bench/simulation.md and .json
	$(call say,bench,building (some minutes the first time), then six cases under five policies)
	@cargo bench --locked --no-default-features --package berth --bench simulation

.PHONY: bench-disruption
bench-disruption: ## Measure rounds of consolidation beside Karpenter's policy; writes target/bench/disruption.md and .json
	$(call say,bench,building (some minutes the first time), then three fills and three sizes a catalog)
	@cargo bench --locked --package berth-solver --no-default-features --bench disruption

.PHONY: bench-packing
bench-packing: ## Measure packing by known optima and recorded clusters; writes target/bench/packing.md
	$(call say,bench,building (some minutes the first time), then instances of 10 s and snapshots)
	@cargo bench --locked --no-default-features --package berth --bench packing

.PHONY: bench-fragmentation
bench-fragmentation: ## Measure how well GPUs are used beside published figures; writes target/bench/fragmentation.md and .json
	$(call say,bench,building (some minutes the first time), then ten times 11,000 pods one after the other)
	@cargo bench --locked --package berth-simulations --no-default-features --bench fragmentation

.PHONY: bench-peers
bench-peers: ## Measure Berth beside Karpenter itself (needs Go); writes target/bench/peers.md and .json
	$(call say,bench,building (some minutes the first time), then Karpenter's benchmark, random problems and snapshots)
	@cargo bench --locked --no-default-features --package berth --bench peers

.PHONY: bench-peers-online
bench-peers-online: ## Run Karpenter itself and Berth on a real control plane; writes target/bench/peers-online.md and .json
	$(call say,1/2,the control plane of the tests)
	@$(MAKE) --no-print-directory controlplane
	$(call say,2/2,five suites on two control planes each: two to three hours (SUITE=basic: about half of one))
	cargo bench --locked --no-default-features --package berth --bench peers-online -- $(SUITE)

.PHONY: bench-extender
bench-extender: ## Measure the extender's answers; writes target/bench/extender.md and .json
	$(call say,1/1,40 cases of two seconds and a relist)
	cargo bench --locked --no-default-features --package berth --bench extender

.PHONY: bench-extender-online
bench-extender-online: ## Measure the real kube-scheduler with and without Berth; writes target/bench/extender-online.md and .json
	$(call say,1/2,the control plane of the tests)
	@$(MAKE) --no-print-directory controlplane
	$(call say,2/2,54 bursts of pods and two times five minutes of churn: about half an hour)
	cargo bench --locked --no-default-features --package berth --bench extender-online

.PHONY: screenshot
screenshot: ## Take the picture of a report that the README shows (needs Chromium)
	BERTH_SCREENSHOT=$(CURDIR)/simulations/report.png cargo test --locked --test report picture

.PHONY: crds
crds: ## Write the custom resource definitions into deploy/crds
	cargo run --quiet --locked -- crds --output-dir deploy/crds

.PHONY: bench-memory
bench-memory: ## Measure the memory of the cluster cache (5,000 nodes, 150,000 pods) and of `berth plan`
	$(call say,bench,building (some minutes the first time), then five steps)
	@cargo bench --locked --bench memory
