# `make bench`: Thunk beside a Linux guest, in one run and one table.

BENCH       := $(BUILD)/bench
BENCH_GUEST := $(addprefix $(BENCH)/guest/,hello calls threads coldread disk linux_init first http)

.PHONY: bench
bench: setup-test
	@$(MAKE) --no-print-directory kernel thunk $(BENCH_GUEST) $(BENCH)/until $(BENCH)/many $(BENCH)/answer $(BENCH)/ask $(BENCH)/count.so
	test/bench/linux.sh $(BUILD)
	test/bench/run.sh $(BUILD)
	@$(MAKE) --no-print-directory bench-closures

$(BENCH)/guest/%: test/bench/guest/%.c
	@mkdir -p $(@D)
	musl-gcc -std=gnu2x -O2 -Wall -Wextra -Werror -static -o $@ $<

$(BENCH)/guest/hello: test/guest/programs/hello.c
	@mkdir -p $(@D)
	musl-gcc -std=gnu2x -O2 -Wall -Wextra -Werror -static -o $@ $<

$(BENCH)/guest/first: test/bench/guest/first.c
	@mkdir -p $(@D)
	$(CC) -std=gnu2x -O2 -Wall -Wextra -Werror -static -nostdlib -ffreestanding -o $@ $<

$(BENCH)/until: test/bench/until.c
	@mkdir -p $(@D)
	$(CC) -std=gnu2x -O2 -Wall -Wextra -Werror -o $@ $<

$(BENCH)/answer: test/bench/answer.c
	@mkdir -p $(@D)
	$(CC) -std=gnu2x -O2 -Wall -Wextra -Werror -o $@ $<

$(BENCH)/ask: test/bench/ask.c
	@mkdir -p $(@D)
	$(CC) -std=gnu2x -O2 -Wall -Wextra -Werror -o $@ $<

$(BENCH)/count.so: test/bench/count.c
	@mkdir -p $(@D)
	$(CC) -shared -fPIC -fvisibility=hidden -std=gnu2x -O2 -Wall -Wextra -Werror -o $@ $<

$(BENCH)/many: $(BUILD)/thunk.o/test/bench/many.o $(filter-out $(BUILD)/thunk.o/tools/%,$(THUNK_OBJECTS)) $(addprefix $(BUILD)/thunk.o/tools/,disk.o say.o)
	@mkdir -p $(@D)
	$(CC) -o $@ $^

-include $(BUILD)/thunk.o/test/bench/many.d

include test/bench/closures/closures.mk
