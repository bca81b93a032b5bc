# The tests of the network: real servers in the machine, real clients beside it.

NET_PROGRAMS := $(BUILD)/net/resolve_glibc $(BUILD)/net/resolve_musl
TEST_NEEDS   += $(NET_PROGRAMS)

# Faults and load: a wire that loses (relay), a server of checked streams and its clients (stream).
FAULT_PROGRAMS := $(addprefix $(BUILD)/net/,relay stream stream_guest)
TEST_NEEDS     += $(FAULT_PROGRAMS)

.PHONY: net-programs
net-programs: $(NET_PROGRAMS) $(FAULT_PROGRAMS)

$(BUILD)/net/resolve_glibc: test/net/resolve.c
	@mkdir -p $(@D)
	$(CC) -std=gnu2x -O2 -Wall -Wextra -Werror -D_GNU_SOURCE -fPIE -pie -o $@ $<

$(BUILD)/net/resolve_musl: test/net/resolve.c
	@mkdir -p $(@D)
	musl-gcc -std=gnu2x -O2 -Wall -Wextra -Werror -D_GNU_SOURCE -static -o $@ $<

FAULT_FLAGS    := -std=gnu2x -I. -O2 -Wall -Wextra -Wshadow -Wvla -Wcast-qual -Werror

$(BUILD)/net/relay: test/net/relay.c test/net/relay_mutate.c test/net/relay_mutate.h
	@mkdir -p $(@D)
	$(CC) $(FAULT_FLAGS) -o $@ $(filter %.c,$^)

$(BUILD)/net/stream: test/net/stream.c
	@mkdir -p $(@D)
	$(CC) $(FAULT_FLAGS) -o $@ $<

$(BUILD)/net/stream_guest: test/net/stream.c
	@mkdir -p $(@D)
	musl-gcc $(FAULT_FLAGS) -static -o $@ $<
SOAK_TESTS += test/net/soak.sh
