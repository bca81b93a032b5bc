# The tests of the network: real servers in the machine, real clients beside it.

NET_PROGRAMS := $(BUILD)/net/resolve_glibc $(BUILD)/net/resolve_musl
TEST_NEEDS   += $(NET_PROGRAMS)

.PHONY: net-programs
net-programs: $(NET_PROGRAMS)

$(BUILD)/net/resolve_glibc: test/net/resolve.c
	@mkdir -p $(@D)
	$(CC) -std=gnu2x -O2 -Wall -Wextra -Werror -D_GNU_SOURCE -fPIE -pie -o $@ $<

$(BUILD)/net/resolve_musl: test/net/resolve.c
	@mkdir -p $(@D)
	musl-gcc -std=gnu2x -O2 -Wall -Wextra -Werror -D_GNU_SOURCE -static -o $@ $<
