# The kernel's own tests: the kernel's objects without init.c and the Linux surface, with
# test/kernel/*.c in their place.  `make test-kernel ACCEL=tcg|kvm|auto` runs them in QEMU.

KERNEL_TEST_C       := $(wildcard test/kernel/*.c)
KERNEL_TEST_ASM     := $(wildcard test/kernel/*.asm)
KERNEL_TEST_OBJECTS := $(filter-out $(BUILD)/kernel-debug/kernel/init.o $(BUILD)/kernel-debug/unix/%, \
                         $(KERNEL_DEBUG_OBJECTS)) \
                       $(KERNEL_TEST_C:%.c=$(BUILD)/kernel-debug/%.o) \
                       $(KERNEL_TEST_ASM:%.asm=$(BUILD)/kernel-debug/%.asm.o)
KERNEL_TEST         := $(BUILD)/kernel-test.elf

$(KERNEL_TEST): $(KERNEL_TEST_OBJECTS) boot/kernel.ld boot/symbols.awk
	@mkdir -p $(BUILD)/kernel-test
	$(call kernel_link,$(BUILD)/kernel-test,$(KERNEL_TEST_OBJECTS),$@)

ACCEL ?= auto

.PHONY: test-kernel kernel-test
kernel-test: $(KERNEL_TEST)
test-kernel: $(KERNEL_TEST)
	@BUILD='$(BUILD)' test/kernel/kernel.t $(ACCEL)

# A thunk to and fro between two CPUs a million times, 50 times; `make soak RUNS=3 ROUNDS=20000` less.
.PHONY: soak-pingpong
RUNS   ?= 50
ROUNDS ?= 1000000
soak: soak-pingpong
soak-pingpong: $(KERNEL_TEST)
	@BUILD='$(BUILD)' test/kernel/pingpong.sh $(RUNS) $(ROUNDS)

# boot.t starts the kernel from GRUB too.
TEST_NEEDS += $(KERNEL_TEST) $(BUILD)/kernel.iso

-include $(KERNEL_TEST_C:%.c=$(BUILD)/kernel-debug/%.d)
