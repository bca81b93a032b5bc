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

# A real Debian program, unpacked from its package, in an image of our own, in a machine of its own.
RUN_DEMO := --timeline --deb lua5.4 --add tools/hello.lua:/hello.lua lua5.4 /hello.lua
run: kernel thunk
	@echo "+ $(BUILD)/thunk run $(RUN_DEMO)"
	@$(BUILD)/thunk run $(RUN_DEMO)
