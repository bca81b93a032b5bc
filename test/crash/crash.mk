# The crash tests that run the real kernel: what the guest runs, and what looks at its disk after.

$(BUILD)/crash/steps: test/crash/steps.h
$(BUILD)/crash/steps $(BUILD)/crash/broken: $(BUILD)/crash/%: test/crash/%.c
	@mkdir -p $(@D)
	musl-gcc -std=gnu2x -O2 -Wall -Wextra -Werror -static -o $@ $<

$(BUILD)/host/test/crash/steps_check.o: test/crash/steps.h

$(BUILD)/crash/steps_check: $(BUILD)/host/test/crash/steps_check.o $(HOST_LIBRARY)
	@mkdir -p $(@D)
	$(CC) $(ASAN) -o $@ $^ -lm

TEST_NEEDS += $(BUILD)/crash/steps $(BUILD)/crash/broken $(BUILD)/crash/steps_check
SOAK_TESTS += $(sort $(wildcard test/crash/*.t)) test/guest/writes.t
