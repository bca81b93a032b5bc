# Set-up: `make run`, `make test` and what else runs things first install what is missing.  It is
# done while make reads this, before the first rule, so that no rule has to wait for it by name.

SETUP_TEST_GOALS  := $(filter test test-% check check-% soak,$(MAKECMDGOALS))
SETUP_BENCH_GOALS := $(filter bench bench-%,$(MAKECMDGOALS))
SETUP_FUZZ_GOALS  := $(filter fuzz fuzz-%,$(MAKECMDGOALS))
SETUP_RUN_GOALS   := $(filter run,$(MAKECMDGOALS))

ifneq ($(SETUP_BENCH_GOALS),)
SETUP_OUTPUT := $(shell sh tools/setup.sh bench >&2 || echo failed)
else ifneq ($(SETUP_TEST_GOALS),)
SETUP_OUTPUT := $(shell sh tools/setup.sh test >&2 || echo failed)
else ifneq ($(SETUP_FUZZ_GOALS),)
SETUP_OUTPUT := $(shell sh tools/setup.sh fuzz >&2 || echo failed)
else ifneq ($(SETUP_RUN_GOALS),)
SETUP_OUTPUT := $(shell sh tools/setup.sh run >&2 || echo failed)
endif

ifneq ($(SETUP_OUTPUT),)
$(error set-up failed, see above)
endif

# For those who want it done without anything else, and for rules that want to name it.
.PHONY: setup setup-run setup-test
setup: setup-test
setup-run:
	@sh tools/setup.sh run
setup-test:
	@sh tools/setup.sh test
