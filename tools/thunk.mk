# The `thunk` command: hosted, from tools/ with runtime/ and fs/.

THUNK_CFLAGS  := $(COMMON) -O2 -D_GNU_SOURCE
THUNK_SOURCES := $(wildcard tools/*.c runtime/*.c fs/*.c)
THUNK_OBJECTS := $(THUNK_SOURCES:%.c=$(BUILD)/thunk.o/%.o)

.PHONY: thunk run
thunk: $(BUILD)/thunk

$(BUILD)/thunk: $(THUNK_OBJECTS)
	$(CC) -o $@ $^ -ljansson
	@echo "built $@"

$(BUILD)/thunk.o/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(THUNK_CFLAGS) -MMD -MP -c -o $@ $<

-include $(THUNK_OBJECTS:.o=.d)

# Debian's web server, unpacked from its package, in an image of our own, in a machine of its own.
# PORT: where it is reached (8080, or the next one that is free).
run: kernel thunk
	@PORT='$(PORT)' tools/demo/run.sh $(BUILD)/thunk
