# make demo        a server is provisioned before your eyes
# make test        everything is set up, all tests pass
# make setup       what the rest needs (as root; quick when it is all there)
# make test-fast   tests that need no emulator   make test-lab   stories with virtual servers
# make fuzz        every parser under libFuzzer, 60 s each (ONLY="gpt qcow2": these; SECONDS_EACH=5: so long)
# make test-peers  stories with real counterparts   make bench   a table of measurements (ONLY="boot images": parts)
CARGO ?= cargo
BINARIES = -p conductor -p agent -p image
# What `cargo test` runs needs neither emulator nor counterparts; these are run by name only (`test = false` in tests/Cargo.toml).
SLOW = --test lab --test peers
.PHONY: demo test in-turn test-fast test-lab test-peers fuzz fuzz-beside bench setup counterparts build build-tests

# Passed on to the demo: KEEP=0 ends it by itself.
KEEP ?= 1
export KEEP

setup:
	@.ci/setup

build: setup
	$(CARGO) build --release --quiet $(BINARIES)

# The counterparts come while things are built. The fuzzer takes what the emulators and the counterparts leave of the processors:
# they wait for something a third of the time.
test: setup
	@$(MAKE) --no-print-directory -j2 build-tests counterparts
	@$(MAKE) --no-print-directory test-fast
	@$(MAKE) --no-print-directory -j2 in-turn fuzz-beside

in-turn:
	@$(MAKE) --no-print-directory test-lab
	@$(MAKE) --no-print-directory test-peers

# Tests are always built and run for the whole workspace: for a part of it dependencies have other features and are built anew.
# After the release, whose dependencies they use (Cargo.toml says how); their programs go into a folder of their own.
TARGET = $(abspath $(or $(CARGO_TARGET_DIR),target))
RUN_TESTS = CARGO_BUILD_BUILD_DIR=$(TARGET) CARGO_TARGET_DIR=$(TARGET)/tested $(CARGO) test --quiet --profile bench --workspace

build-tests: build
	$(RUN_TESTS) --no-run
	$(RUN_TESTS) --no-run $(SLOW)

counterparts: setup
	@.ci/setup-peers

fuzz-beside: build
	@NICE=19 .ci/fuzz

# Most of these tests wait for something: more of them at a time than there are processors, and three lanes beside each other.
# There are no tests in documentation; looking for them takes a quarter of a minute.
FAST_LANES = fast-units fast-api fast-sim
.PHONY: $(FAST_LANES)
test-fast: export RUST_TEST_THREADS = 4
test-fast: build
	@$(RUN_TESTS) --no-run
	@$(MAKE) --no-print-directory --jobs 3 --output-sync=target $(FAST_LANES)

fast-units:
	$(RUN_TESTS) --lib --bins --test memory --test serve --test short

fast-api:
	$(RUN_TESTS) --test api --test contract --test house --test ipmi

fast-sim:
	$(RUN_TESTS) --test sim

# Four virtual servers at a time: each is one thread, which waits for its story almost half of the time.
test-lab: build
	$(RUN_TESTS) --test lab -- --test-threads 4

test-peers: build counterparts
	$(RUN_TESTS) --test peers -- --test-threads 3

# After `build`, whose dependencies it uses.
fuzz: build
	@.ci/fuzz $(ONLY)

bench: build
	$(CARGO) build --quiet --release -p tests --bin demo --bin lab-chassis --bin sandbox
	$(CARGO) run --quiet --release -p tests --bin bench -- $(ONLY)

# As released: what `build` has built serves here, too.
demo: build
	$(CARGO) run --quiet --release -p tests --bin demo

