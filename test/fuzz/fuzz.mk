# Fuzz targets: every test/fuzz/NAME_fuzz.c is one (libFuzzer, hosted, ASan and UBSan).
#
#   NAME_seeds.c beside it, when there is one, is a program that writes seeds into a directory
#
# A target is linked with runtime/, fs/ and test/host/ (but for the pool of threads, which wants the
# checks that are off here); what it needs of other layers it includes.
# `make test` runs each for FUZZ_SECONDS (test/fuzz/fuzz.t); `make fuzz` for FUZZ_LONG_SECONDS.
# What is found is kept in $(BUILD)/fuzz/NAME_fuzz.corpus, crashes beside it.

FUZZ_SECONDS      ?= 20
FUZZ_LONG_SECONDS ?= 3600
FUZZ_FLAGS        := $(COMMON) -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
                     -fno-sanitize-recover=all -Wno-missing-prototypes
FUZZ_LIBRARY      := $(BUILD)/fuzz/library.a
FUZZ_OBJECTS      := $(patsubst %.c,$(BUILD)/fuzz/object/%.o,$(filter-out test/host/thread_pool.c test/host/net_%, \
                     $(wildcard runtime/*.c fs/*.c test/host/*.c)))
FUZZ_TARGETS      := $(patsubst test/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard test/fuzz/*_fuzz.c))
FUZZ_SEEDERS      := $(patsubst test/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard test/fuzz/*_seeds.c))

TEST_NEEDS += $(FUZZ_TARGETS) $(FUZZ_SEEDERS)
export FUZZ_SECONDS

.PHONY: fuzz
fuzz: $(FUZZ_TARGETS) $(FUZZ_SEEDERS)
	BUILD='$(BUILD)' FUZZ_SECONDS='$(FUZZ_LONG_SECONDS)' test/fuzz/fuzz.t

# The same targets for AFL++ (Debian's afl++), each for AFL_SECONDS, from the same seeds; what is found
# is in $(BUILD)/afl/NAME_fuzz.found.  AFL++ brings the main function that libFuzzer's targets expect.
AFL_SECONDS ?= 60
AFL_CC      ?= afl-clang-fast
AFL_FLAGS   := $(COMMON) -O1 -fno-omit-frame-pointer -fsanitize=address,undefined \
               -fno-sanitize-recover=all -Wno-missing-prototypes
AFL_OBJECTS := $(FUZZ_OBJECTS:$(BUILD)/fuzz/object/%=$(BUILD)/afl/object/%)
AFL_TARGETS := $(BUILD)/afl/fs_reader_fuzz $(BUILD)/afl/fs_writer_fuzz

.PHONY: fuzz-afl
fuzz-afl: $(AFL_TARGETS) $(FUZZ_SEEDERS)
	for target in $(AFL_TARGETS); do \
	    name=$$(basename $$target); \
	    mkdir -p $(BUILD)/afl/$$name.seeds && \
	    $(BUILD)/fuzz/$${name%_fuzz}_seeds $(BUILD)/afl/$$name.seeds && \
	    AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_NO_UI=1 afl-fuzz -t 5000+ \
	        -V $(AFL_SECONDS) -i $(BUILD)/afl/$$name.seeds -o $(BUILD)/afl/$$name.found -- $$target \
	        || exit 1; \
	done

$(BUILD)/afl/object/%.o: %.c
	@mkdir -p $(@D)
	$(AFL_CC) $(AFL_FLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/afl/%_fuzz: $(BUILD)/afl/object/test/fuzz/%_fuzz.o $(AFL_OBJECTS)
	$(AFL_CC) -fsanitize=fuzzer,address,undefined -o $@ $^

$(BUILD)/fuzz/object/%.o: %.c
	@mkdir -p $(@D)
	$(CLANG) $(FUZZ_FLAGS) -MMD -MP -c -o $@ $<

$(FUZZ_LIBRARY): $(FUZZ_OBJECTS)
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/fuzz/%_fuzz: $(BUILD)/fuzz/object/test/fuzz/%_fuzz.o $(FUZZ_LIBRARY)
	$(CLANG) -fsanitize=fuzzer,address,undefined -o $@ $^

$(BUILD)/fuzz/%_seeds: $(BUILD)/fuzz/object/test/fuzz/%_seeds.o $(FUZZ_LIBRARY)
	$(CLANG) -fsanitize=address,undefined -o $@ $^

-include $(shell find $(BUILD)/fuzz $(BUILD)/afl -name '*.d' 2>/dev/null)
