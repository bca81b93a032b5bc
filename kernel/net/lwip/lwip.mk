# lwIP 2.2.1: fetched (fetch.sh), unpacked into $(LWIP), edited (edit.pl), and compiled with
# lwipopts.h and arch/cc.h of this folder: into the kernel, and hosted for tests.
#
# Only kernel/net/*.c and lwIP itself see its headers; what includes them waits for $(LWIP_READY).

LWIP         := $(BUILD)/lwip
LWIP_ARCHIVE_FILE := $(LWIP)/archive.tar.xz
LWIP_READY   := $(LWIP)/ready

LWIP_SOURCES := $(addprefix core/,def inet_chksum init ip mem memp netif pbuf stats tcp tcp_in tcp_out \
                udp ipv4/acd ipv4/dhcp ipv4/etharp ipv4/icmp ipv4/igmp ipv4/ip4 ipv4/ip4_addr \
                ipv4/ip4_frag ipv6/ethip6 ipv6/icmp6 ipv6/ip6 ipv6/ip6_addr ipv6/ip6_frag ipv6/mld6 \
                ipv6/nd6) netif/ethernet

# Theirs are system headers, so that our warnings are about our lines.
LWIP_INCLUDE := -isystem $(LWIP)/src/include -isystem kernel/net/lwip
LWIP_LIBC    := -isystem kernel/net/lwip/libc
LWIP_RELAXED := -w

LWIP_KERNEL_OBJECTS := $(LWIP_SOURCES:%=$(BUILD)/kernel/lwip/%.o)
LWIP_DEBUG_OBJECTS  := $(LWIP_SOURCES:%=$(BUILD)/kernel-debug/lwip/%.o)
LWIP_HOST_OBJECTS   := $(LWIP_SOURCES:%=$(BUILD)/host/lwip/%.o)

LWIP_EDITS := $(sort $(wildcard kernel/net/lwip/edits/*.pl))

$(LWIP_ARCHIVE_FILE): kernel/net/lwip/fetch.sh
	@sh kernel/net/lwip/fetch.sh $@
	@touch $@

# Headers of ours that its headers include count too: compilers do not list those of system headers.
$(LWIP_READY): $(LWIP_ARCHIVE_FILE) kernel/net/lwip/edit.pl $(LWIP_EDITS) \
    $(wildcard kernel/net/lwip/*.h kernel/net/lwip/arch/*.h)
	@rm -rf $(LWIP)/src $(LWIP)/unpacked
	@mkdir -p $(LWIP)/unpacked
	@tar -xJf $(LWIP_ARCHIVE_FILE) -C $(LWIP)/unpacked --strip-components=1 --no-same-owner
	@perl kernel/net/lwip/edit.pl $(LWIP)/unpacked/src $(LWIP_EDITS)
	@mv $(LWIP)/unpacked/src $(LWIP)/src
	@rm -rf $(LWIP)/unpacked
	@touch $@

# The sources come to be when the archive is unpacked; a compilation is the first that needs them.
$(LWIP_SOURCES:%=$(LWIP)/src/%.c): $(LWIP_READY) ;
$(LWIP_KERNEL_OBJECTS): $(BUILD)/kernel/lwip/%.o: $(LWIP_READY) boot/kernel.mk kernel/net/lwip/lwip.mk
	@mkdir -p $(@D)
	$(CC) $(COMMON) $(KERNEL_FLAGS) $(LWIP_INCLUDE) $(LWIP_LIBC) $(LWIP_RELAXED) -c -o $@ $(LWIP)/src/$*.c

$(LWIP_DEBUG_OBJECTS): $(BUILD)/kernel-debug/lwip/%.o: $(LWIP_READY) boot/kernel.mk kernel/net/lwip/lwip.mk
	@mkdir -p $(@D)
	$(CC) $(COMMON) $(KERNEL_FLAGS) -DCLOSURE_CHECKS=1 $(LWIP_INCLUDE) $(LWIP_LIBC) $(LWIP_RELAXED) \
	    -c -o $@ $(LWIP)/src/$*.c

$(LWIP_HOST_OBJECTS): $(BUILD)/host/lwip/%.o: $(LWIP_READY) kernel/net/lwip/lwip.mk
	@mkdir -p $(@D)
	$(CC) $(HOST_CFLAGS) $(ASAN) $(LWIP_INCLUDE) $(LWIP_RELAXED) -MMD -MP -c -o $@ $(LWIP)/src/$*.c

# What is ours and sees lwIP: kernel/net/*.c and the tests of it, wherever they are compiled.
NET_C       := $(wildcard kernel/net/*.c)
NET_TEST_C  := $(wildcard test/host/net_*.c test/unit/net_*.c)
NET_OBJECTS := $(foreach folder,kernel kernel-debug,$(NET_C:%.c=$(BUILD)/$(folder)/%.o))
NET_HOST    := $(NET_C:%.c=$(BUILD)/host/%.o) $(NET_TEST_C:%.c=$(BUILD)/host/%.o)
NET_ANALYZE := $(NET_C:%.c=$(BUILD)/analyze/%.ok) $(NET_TEST_C:%.c=$(BUILD)/analyze/%.ok)

$(NET_OBJECTS) $(NET_HOST) $(NET_ANALYZE): $(LWIP_READY)
$(NET_OBJECTS) $(NET_C:%.c=$(BUILD)/analyze/%.ok): private COMMON += $(LWIP_INCLUDE) $(LWIP_LIBC)
$(NET_TEST_C:%.c=$(BUILD)/analyze/%.ok): private COMMON += $(LWIP_INCLUDE)
$(NET_HOST): private HOST_CFLAGS += $(LWIP_INCLUDE)

# The stack for hosted tests, test/unit/net_*_test.c: with a machine and devices of test/host/net_*.c.
NET_LIBRARY := $(BUILD)/host/net.a
$(NET_LIBRARY): $(LWIP_HOST_OBJECTS) $(filter $(BUILD)/host/kernel/% $(BUILD)/host/test/host/%,$(NET_HOST))
	@rm -f $@
	ar rcs $@ $^

-include $(LWIP_KERNEL_OBJECTS:.o=.d)
