# Programs that run inside the guest in tests and benchmarks, and on the host as the oracle.

GUEST       := $(BUILD)/guest
GUEST_MUSL  := $(patsubst test/guest/programs/%.c,$(GUEST)/%,$(wildcard test/guest/programs/*.c)) \
               $(patsubst test/guest/%.c,$(GUEST)/%,$(wildcard test/guest/*.c))
GUEST_CXX   := $(patsubst test/guest/programs/%.cc,$(GUEST)/%,$(wildcard test/guest/programs/*.cc))

# census.t looks at what a checked kernel says.
TEST_NEEDS += $(BUILD)/kernel-debug.elf

.PHONY: guest-programs
guest-programs: $(GUEST_MUSL) $(GUEST_CXX) $(GUEST)/segv_pie $(GUEST)/clocks_dynamic $(GUEST)/memory_work_dynamic

$(GUEST)/%: test/guest/programs/%.c
	@mkdir -p $(@D)
	musl-gcc -std=gnu2x -O2 -Wall -Wextra -Werror -static -o $@ $< -lm

# The programs that print every result share headers.
$(GUEST_MUSL): $(wildcard test/guest/*.h)

$(GUEST)/%: test/guest/%.c
	@mkdir -p $(@D)
	musl-gcc -std=gnu2x -O2 -Wall -Wextra -Werror -static -o $@ $< -lm

$(GUEST)/%: test/guest/programs/%.cc
	@mkdir -p $(@D)
	g++ -std=c++20 -O2 -Wall -Wextra -Werror -o $@ $<

# The same crash out of a dynamically linked program.
$(GUEST)/segv_pie: test/guest/programs/segv.c
	@mkdir -p $(@D)
	$(CC) -O1 -g -Wall -Wextra -Werror -fPIE -pie -o $@ $<

# The same workload through glibc and its dynamic linker.
$(GUEST)/memory_work_dynamic: test/guest/programs/memory_work.c
	@mkdir -p $(@D)
	$(CC) -std=gnu2x -O2 -Wall -Wextra -Werror -fPIE -pie -o $@ $<

# The same clocks through glibc, which looks for the vDSO in its own way.
$(GUEST)/clocks_dynamic: test/guest/programs/clocks.c
	@mkdir -p $(@D)
	$(CC) -std=gnu2x -O2 -Wall -Wextra -Werror -fPIE -pie -o $@ $<
