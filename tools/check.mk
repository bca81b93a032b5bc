# `make check`: the rules that a program can check.  Each check is a script of its own in
# tools/check/, and self_test.sh feeds them what they must refuse.

CHECK_C       := $(sort $(shell find runtime fs kernel drivers unix boot tools test -name '*.[ch]'))
# Not the programs of the guest, which end at once and free nothing.
CHECK_ANALYZE := $(filter-out test/compile/% test/guest/% test/bench/guest/%,$(filter %.c,$(CHECK_C)))
CHECK_STAMPS  := $(CHECK_ANALYZE:%.c=$(BUILD)/analyze/%.ok)
CHECK_MODELS  := $(sort $(wildcard test/model/*.pml))
CHECK_OBJECTS  = $(filter-out $(BUILD)/kernel/kernel/x86/% $(BUILD)/kernel/boot/%,$(KERNEL_OBJECTS))

.PHONY: check check-layers check-lengths check-words check-format check-analyze check-privileged \
        check-self check-models

check:
	@$(MAKE) --no-print-directory -k check-self check-layers check-lengths check-words \
	    check-format check-privileged check-analyze check-models
	@echo "make check: everything is in order"

check-self:
	@CC='$(CC)' CLANG='$(CLANG)' sh tools/check/self_test.sh

check-layers:
	@sh tools/check/layers.sh .

check-lengths:
	@sh tools/check/lengths.sh .

check-words:
	@sh tools/check/words.sh .

check-format:
	@clang-format --dry-run -Werror $(CHECK_C)

check-analyze: $(CHECK_STAMPS)

# The kernel's flags for the kernel's layers, so that the analyser sees what is compiled.
$(BUILD)/analyze/kernel/%.ok $(BUILD)/analyze/drivers/%.ok $(BUILD)/analyze/unix/%.ok \
$(BUILD)/analyze/boot/%.ok: CHECK_FLAGS := -ffreestanding -mgeneral-regs-only
$(BUILD)/analyze/%.ok: CHECK_FLAGS := -D_GNU_SOURCE

$(BUILD)/analyze/%.ok: %.c $(wildcard runtime/*.h kernel/*.h kernel/x86/*.h fs/*.h unix/*.h drivers/*.h)
	@mkdir -p $(@D)
	@$(CLANG) --analyze --analyzer-output text -Xclang -analyzer-werror $(COMMON) $(CHECK_FLAGS) \
	    -O2 -o /dev/null $<
	@touch $@

check-privileged: kernel
	@test -n "$(CHECK_OBJECTS)" || { echo "tools/check.mk: no objects of the kernel to look at"; exit 1; }
	@sh tools/check/privileged.sh $(CHECK_OBJECTS)

# Every interleaving of the lock-free parts, by a model checker.
check-models: $(CHECK_MODELS:test/model/%.pml=$(BUILD)/model/%.ok)

$(BUILD)/model/%.ok: test/model/%.pml tools/check/models.sh
	@CC='$(CC)' sh tools/check/models.sh $< $(@D)/$*
	@touch $@
