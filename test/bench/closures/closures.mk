# What closures cost: hosted (ours, the C library's coroutines, Go's), and in a kernel of its own.

CLOSURES         := $(BENCH)/closures
CLOSURES_C       := $(wildcard runtime/*.c) kernel/buddy.c kernel/slab.c kernel/slab_cache.c \
                    $(addprefix test/bench/closures/,closures.c operations.c switches.c)
CLOSURES_OBJECTS := $(CLOSURES_C:%.c=$(CLOSURES)/%.o) $(CLOSURES)/switch.asm.o

# As test/kernel/kernel_tests.mk links its kernel, but with the objects of the released one.
CLOSURES_KERNEL_C       := $(addprefix test/bench/closures/,kernel.c operations.c)
CLOSURES_KERNEL_OBJECTS := $(filter-out $(BUILD)/kernel/kernel/init.o $(BUILD)/kernel/unix/%, \
                             $(KERNEL_OBJECTS)) $(CLOSURES_KERNEL_C:%.c=$(BUILD)/kernel/%.o)

.PHONY: bench-closures
bench-closures: $(CLOSURES)/closures $(CLOSURES)/closures_go $(CLOSURES)/kernel.elf
	test/bench/closures/run.sh $(BUILD)

$(CLOSURES)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(COMMON) -O2 -D_GNU_SOURCE -MMD -MP -c -o $@ $<

$(CLOSURES)/switch.asm.o: test/bench/closures/switch.asm
	@mkdir -p $(@D)
	$(NASM) -f elf64 -o $@ $<

$(CLOSURES)/closures: $(CLOSURES_OBJECTS)
	$(CC) -o $@ $^ -lpthread

$(CLOSURES)/closures_go: test/bench/closures/closures.go
	@mkdir -p $(@D)
	GO111MODULE=off GOCACHE='$(abspath $(CLOSURES))/go-cache' go build -o $@ $<

$(CLOSURES)/kernel.elf: $(CLOSURES_KERNEL_OBJECTS) boot/kernel.ld boot/symbols.awk
	@mkdir -p $(CLOSURES)/kernel
	$(call kernel_link,$(CLOSURES)/kernel,$(CLOSURES_KERNEL_OBJECTS),$@)

-include $(CLOSURES_OBJECTS:.o=.d) $(CLOSURES_KERNEL_C:%.c=$(BUILD)/kernel/%.d)
