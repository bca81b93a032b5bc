# The kernel.  `make kernel`: build/thunk-kernel.elf with symbols and build/kernel.elf, which boots.
# `make kernel-debug`: build/kernel-debug.elf with CLOSURE_CHECKS.  `make iso`: the kernel in a GRUB
# image, for machines that boot from BIOS.
#
# A kernel is linked twice: the first link gives the symbol table for backtraces (boot/symbols.awk).
# It holds the vDSO, a shared object that is made before it (unix/vdso.h).

KERNEL_FLAGS := -O2 -ffreestanding -fbuiltin -fPIE -fvisibility=hidden -mgeneral-regs-only -mno-red-zone \
                -fno-stack-protector -fno-omit-frame-pointer -fno-asynchronous-unwind-tables \
                -fcf-protection=none -ffunction-sections -fdata-sections -MMD -MP
KERNEL_NASM   = $(NASM) -f elf64 -g -F dwarf -i . -i $(BUILD)/ -MD $(@:.o=.d) -MP -o $@ $<
KERNEL_LINK  := -pie --no-dynamic-linker -z norelro -z noexecstack -z pack-relative-relocs \
                -z max-page-size=4096 --gc-sections --build-id=none -nostdlib -T boot/kernel.ld \
                --no-warn-rwx-segments

VDSO_FLAGS := -O2 -ffreestanding -fPIC -fvisibility=hidden -mgeneral-regs-only -fno-stack-protector \
              -fomit-frame-pointer -fasynchronous-unwind-tables -fcf-protection=none -MMD -MP
VDSO_LINK  := -shared -soname linux-vdso.so.1 --hash-style=both --build-id=none --eh-frame-hdr \
              --no-undefined -z noexecstack -z norelro -z max-page-size=4096 -nostdlib -s \
              --fatal-warnings --orphan-handling=error
VDSO_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard unix/vdso/*.c))

# fs/builder*.c, fs/check*.c and fs/setting.c make and mend images, on a host; kernel/test/ is in the test kernel
# only.
KERNEL_C   := $(filter-out fs/builder% fs/check.c fs/check_% fs/setting.c,$(wildcard boot/*.c kernel/*.c kernel/x86/*.c kernel/net/*.c runtime/*.c \
              drivers/*.c fs/*.c unix/*.c))
KERNEL_ASM := $(wildcard boot/*.asm kernel/*.asm kernel/x86/*.asm unix/*.asm)

KERNEL_OBJECTS       := $(KERNEL_C:%.c=$(BUILD)/kernel/%.o) $(KERNEL_ASM:%.asm=$(BUILD)/kernel/%.asm.o) \
                        $(LWIP_KERNEL_OBJECTS)
KERNEL_DEBUG_OBJECTS := $(patsubst $(BUILD)/kernel/%,$(BUILD)/kernel-debug/%,$(KERNEL_OBJECTS))

.PHONY: kernel kernel-debug iso
kernel: $(BUILD)/kernel.elf
kernel-debug: $(BUILD)/kernel-debug.elf
iso: $(BUILD)/kernel.iso

$(BUILD)/kernel/%.o: %.c boot/kernel.mk
	@mkdir -p $(@D)
	$(CC) $(COMMON) $(KERNEL_FLAGS) -c -o $@ $<

$(BUILD)/kernel-debug/%.o: %.c boot/kernel.mk
	@mkdir -p $(@D)
	$(CC) $(COMMON) $(KERNEL_FLAGS) -DCLOSURE_CHECKS=1 -c -o $@ $<

# Two rules: make takes a pattern with two targets to make both at once.
$(BUILD)/kernel/%.asm.o: %.asm
	@mkdir -p $(@D)
	$(KERNEL_NASM)

$(BUILD)/kernel-debug/%.asm.o: %.asm
	@mkdir -p $(@D)
	$(KERNEL_NASM)

$(BUILD)/unix/vdso/%.o: unix/vdso/%.c boot/kernel.mk
	@mkdir -p $(@D)
	$(CC) $(COMMON) $(VDSO_FLAGS) -c -o $@ $<

$(BUILD)/vdso.so: $(VDSO_OBJECTS) unix/vdso/vdso.ld boot/kernel.mk
	ld $(VDSO_LINK) -T unix/vdso/vdso.ld -o $@ $(VDSO_OBJECTS)

$(BUILD)/kernel/unix/vdso_image.asm.o $(BUILD)/kernel-debug/unix/vdso_image.asm.o: $(BUILD)/vdso.so

# $(1): the folder of the objects, $(2): the objects, $(3): the result
define kernel_link
	@printf '' | awk -f boot/symbols.awk > $(1)/symbols0.asm
	@$(NASM) -f elf64 -o $(1)/symbols0.o $(1)/symbols0.asm
	@ld $(KERNEL_LINK) -o $(1)/first.elf $(2) $(1)/symbols0.o
	@nm -n $(1)/first.elf | awk -f boot/symbols.awk > $(1)/symbols.asm
	@$(NASM) -f elf64 -o $(1)/symbols.o $(1)/symbols.asm
	ld $(KERNEL_LINK) -o $(3) $(2) $(1)/symbols.o
endef

$(BUILD)/thunk-kernel.elf: $(KERNEL_OBJECTS) boot/kernel.ld boot/symbols.awk
	$(call kernel_link,$(BUILD)/kernel,$(KERNEL_OBJECTS),$@)

$(BUILD)/kernel-debug.elf: $(KERNEL_DEBUG_OBJECTS) boot/kernel.ld boot/symbols.awk
	$(call kernel_link,$(BUILD)/kernel-debug,$(KERNEL_DEBUG_OBJECTS),$@)

$(BUILD)/kernel.elf: $(BUILD)/thunk-kernel.elf
	objcopy --strip-all $< $@
	@echo "built $@"

$(BUILD)/kernel.iso: $(BUILD)/kernel.elf boot/grub.cfg
	@mkdir -p $(BUILD)/iso/boot/grub
	cp $< $(BUILD)/iso/boot/kernel.elf
	cp boot/grub.cfg $(BUILD)/iso/boot/grub/grub.cfg
	grub-mkrescue -o $@ $(BUILD)/iso >$(BUILD)/iso.log 2>&1 || { cat $(BUILD)/iso.log; exit 1; }

-include $(VDSO_OBJECTS:.o=.d) $(KERNEL_OBJECTS:.o=.d) $(KERNEL_DEBUG_OBJECTS:.o=.d)
