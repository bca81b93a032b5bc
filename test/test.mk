# The tests.  `make test` builds everything and runs all of it in one invocation of prove, whose
# summary is the last line.
#
#   test/unit/*_test.c     hosted, one TAP program each, under ASan and UBSan, completions checked
#   test/unit/*_stress.c   hosted, threads, under TSan
#   test/compile/run.sh    programs that must not compile, with gcc and with clang
#   test/*/*.t             anything else that speaks TAP and is executable
#
# A fragment below may add to TESTS (programs that speak TAP) and TEST_NEEDS (what must be built
# before them).  Every program runs from the root of the tree and finds BUILD, CC and CLANG in its
# environment.

HOST_CFLAGS := $(COMMON) -O1 -fno-omit-frame-pointer -DCLOSURE_CHECKS=1
ASAN        := -fsanitize=address,undefined -fno-sanitize-recover=all
TSAN        := -fsanitize=thread

HOST_SOURCES := $(filter-out test/host/net_%,$(wildcard runtime/*.c fs/*.c test/host/*.c))
HOST_OBJECTS := $(HOST_SOURCES:%.c=$(BUILD)/host/%.o)
HOST_LIBRARY := $(BUILD)/host/library.a
TSAN_SOURCES := $(wildcard runtime/*.c) test/host/harness.c test/host/thread_pool.c
TSAN_OBJECTS := $(TSAN_SOURCES:%.c=$(BUILD)/tsan/%.o)
# What a release kernel does about completions that are applied twice: built without the checks.
RELEASE_OBJECTS := $(patsubst %.c,$(BUILD)/release/%.o,$(wildcard runtime/*.c) test/host/harness.c)

UNIT_TESTS   := $(patsubst test/unit/%.c,$(BUILD)/unit/%,$(wildcard test/unit/*_test.c))
STRESS_TESTS := $(patsubst test/unit/%.c,$(BUILD)/unit/%,$(wildcard test/unit/*_stress.c))

TESTS      := $(UNIT_TESTS) $(STRESS_TESTS) $(wildcard test/compile/run.sh) $(sort $(wildcard test/*/*.t))
TEST_NEEDS := $(UNIT_TESTS) $(STRESS_TESTS)

-include test/kernel/kernel_tests.mk
-include test/guest/guest.mk
-include test/crash/crash.mk
-include test/fuzz/fuzz.mk
-include test/net/net.mk
-include test/bench/bench.mk

ifneq ($(wildcard test/guest/guest.mk),)
TEST_NEEDS += guest-programs
endif

# --exec '' runs each program as it is.  Two at a time: most of them wait for a machine.
TEST_JOBS ?= 2
PROVE     := BUILD='$(BUILD)' CC='$(CC)' CLANG='$(CLANG)' prove --exec '' --jobs $(TEST_JOBS)

.PHONY: test test-unit
test: kernel thunk $(TEST_NEEDS)
	@$(PROVE) $(TESTS)

test-unit: $(UNIT_TESTS) $(STRESS_TESTS)
	@$(PROVE) $(UNIT_TESTS) $(STRESS_TESTS) $(wildcard test/compile/run.sh)

# `make soak`: what takes minutes rather than seconds.  Tests that can go further than in `make test`
# look at SOAK; a fragment may add to SOAK_TESTS.
SOAK_TESTS += test/guest/out_of_memory.t
SOAK_TESTS += $(addprefix $(BUILD)/unit/,fs_crash_test fs_crash_database_test fs_fault_write_test)
.PHONY: soak
soak: kernel thunk $(TEST_NEEDS)
	@SOAK=1 $(PROVE) --timer $(SOAK_TESTS)

# A failed compilation of one file must not leave a program of older objects behind.
.DELETE_ON_ERROR:

$(BUILD)/host/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(HOST_CFLAGS) $(ASAN) -MMD -MP -c -o $@ $<

$(BUILD)/tsan/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(HOST_CFLAGS) $(TSAN) -MMD -MP -c -o $@ $<

$(BUILD)/release/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(filter-out -DCLOSURE_CHECKS=1,$(HOST_CFLAGS)) $(ASAN) -MMD -MP -c -o $@ $<

$(HOST_LIBRARY): $(HOST_OBJECTS)
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/unit/%_test: $(BUILD)/host/test/unit/%_test.o $(HOST_LIBRARY)
	@mkdir -p $(@D)
	$(CC) $(ASAN) -o $@ $^ -lm

# The network's stack has a library of its own (kernel/net/lwip/lwip.mk).
$(BUILD)/unit/net_%_test: $(BUILD)/host/test/unit/net_%_test.o $(NET_LIBRARY) $(HOST_LIBRARY)
	@mkdir -p $(@D)
	$(CC) $(ASAN) -o $@ $^ -lm

$(BUILD)/unit/release_test: $(BUILD)/release/test/unit/release_test.o $(RELEASE_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(ASAN) -o $@ $^

$(BUILD)/unit/%_stress: $(BUILD)/tsan/test/unit/%_stress.o $(TSAN_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(TSAN) -o $@ $^ -lpthread

# `make check` analyses the tests as they are built.
$(BUILD)/analyze/test/unit/%.ok $(BUILD)/analyze/test/host/%.ok: CHECK_FLAGS := -D_GNU_SOURCE \
    -DCLOSURE_CHECKS=1
$(BUILD)/analyze/test/unit/release_test.ok: CHECK_FLAGS := -D_GNU_SOURCE

# Objects of the test programs are kept: make would delete them as intermediate files.
.SECONDARY:

-include $(shell find $(BUILD)/host $(BUILD)/tsan $(BUILD)/release -name '*.d' 2>/dev/null)
