# The commands of this repository. Each is a script in dev/, which can also be called directly.

.DEFAULT_GOAL := help
.PHONY: help demo test check audit bench down
# Arguments for cargo test (make test ARGS='--test integration merge') or for cargo deny.
ARGS ?=

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' Makefile

demo: ## Kafka, registry, Postgres, a Close to try with and a worker; posts, edits, and shows the rows
	@dev/demo

test: ## all tests, against a separate stack on other ports
	@dev/test $(ARGS)

check: ## rustfmt, clippy, rustdoc, shellcheck, house rules: no warning allowed
	@dev/check

audit: ## cargo-deny: licenses, bans, sources, advisories (needs GitHub; without it: ARGS='licenses bans sources')
	@dev/audit $(ARGS)

bench: ## benchmarks, against a separate stack; writes target/bench/summary.json
	@dev/bench

down: ## stop the demo's worker, its Close and its stack; the data stays (dev/stack reset wipes it)
	@dev/worker stop
	@dev/close stop
	@dev/stack down
