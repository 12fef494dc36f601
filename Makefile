# Two commands matter: `make run` starts the server, `make test` proves it. The rest is for those who change it.

HARMONY := target/release/harmony

# Properties are tried with the same values each time, so that a change fails for what it changed and for nothing else.
# `make properties` tries others, of most of them many more.
PROPERTIES_SEED := 20261130
CASES ?= 4000
NEXTEST := $(shell command -v cargo-nextest 2>/dev/null)

.PHONY: run build test properties check bench load fuzz help

help:
	@echo "make run     install what is missing, build, fetch the models, serve on loopback"
	@echo "make test    everything that CI runs"
	@echo "make check   format, lints, licences, documentation"
	@echo "make bench   speed, with budgets: pass or miss"
	@echo "make load    what an echo call costs here; ARGS='--calls 200 --seconds 60' for more of them"
	@echo "make properties  try most properties with other values; CASES=20000 for more of them"
	@echo "make fuzz    look for bytes that break something: T=rtp (needs a nightly compiler and cargo-fuzz)"

run: build
	@scripts/packages run
	@$(HARMONY) models fetch
	@exec $(HARMONY) serve

build:
	@scripts/packages build
	@cargo build --release --package server

test: export PROPTEST_RNG_SEED = $(PROPERTIES_SEED)
test:
	@scripts/packages build test
# One selection of packages for all that follows: another would build every dependency again, with other features.
	@cargo build --workspace --bins --tests
	@target/debug/harmony models fetch
	@tests/setup.sh
ifdef NEXTEST
	@cargo nextest run --workspace --no-fail-fast
else
	@echo "cargo-nextest is not installed: cargo test runs the same tests, more slowly"
	@cargo test --workspace --no-fail-fast --all-targets
endif

# Most properties: those of whole systems are left out, and a few with a fixed count are tried that often and no more.
# What it finds becomes a test with its cure; the values are printed.
properties:
	@scripts/packages build
	@PROPTEST_CASES=$(CASES) cargo test --workspace --exclude tests --quiet

check:
	@scripts/packages build
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny check; else echo "skipped: cargo-deny is not installed (cargo install cargo-deny)"; fi
	@RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" cargo doc --workspace --no-deps --document-private-items --quiet

bench:
	@scripts/packages build
	@cargo bench --package benches

load: build
	@$(HARMONY) bench $(ARGS)

# New finds go to tests/fuzz/corpus; a crash is kept in tests/fuzz/artifacts and becomes a seed with its fix.
fuzz:
	@test -n "$(T)" || { echo "which target? T=$$(ls tests/fuzz/targets | sed 's/\.rs$$//' | paste -sd' ')"; exit 2; }
	@mkdir -p tests/fuzz/corpus/$(T)
	@cargo +nightly fuzz run --fuzz-dir tests/fuzz $(T) tests/fuzz/corpus/$(T) tests/fuzz/seeds/$(T) -- $(ARGS)
