# Thunk: `make` builds the kernel and the `thunk` command; `make run` and `make test` do all the
# set-up by themselves.  README.md shows them; test/test.mk and tools/setup.mk hold the details.

BUILD   := build
CC      := gcc
CLANG   := clang
NASM    := nasm

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wcast-qual \
            -Wimplicit-fallthrough -Werror
COMMON   := -std=gnu2x -I. $(WARNINGS) -fno-strict-aliasing -g

# Quiet, and on every processor; `make V=1` shows each command.
ifndef V
MAKEFLAGS += --silent
endif
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif

.PHONY: all clean
all: kernel thunk

include tools/setup.mk
include kernel/net/lwip/lwip.mk
include boot/kernel.mk
include tools/thunk.mk
include test/test.mk
include tools/check.mk

clean:
	rm -rf $(BUILD)
