/* The kernel's options and the end of the machine.  See kernel/machine.h. */
#include "kernel/machine.h"

#include "kernel/acpi.h"
#include "kernel/boot_info.h"
#include "kernel/log.h"
#include "kernel/trace.h"
#include "kernel/watchdog.h"
#include "kernel/x86/early.h"
#include "kernel/x86/random.h"
#include "runtime/memory.h"

#define OPTIONS_MOST 256 /* further ones are ignored, and that is logged */

static char text[BOOT_COMMAND_LINE]; /* the words, each terminated */
static const char *options[OPTIONS_MOST];
static u32 option_count;
static exit_writer writer;

/* --- options ---------------------------------------------------------------------------------- */

/* Copies one word, to the next blank that is not in quotes; the quotes go.  Returns what is behind
   it; *to moves behind the terminator. */
static const char *word_copy(const char *from, char **to)
{
    bool quoted = false;
    for (; *from && (quoted || *from != ' '); from++) {
        if (*from == '"')
            quoted = !quoted;
        else
            *(*to)++ = *from;
    }
    *(*to)++ = '\0';
    return from;
}

static void options_split(const char *line)
{
    char *to = text; /* each word needs at most as much as it had with the blank behind it */
    for (;;) {
        while (*line == ' ')
            line++;
        if (!*line)
            return;
        if (option_count == OPTIONS_MOST) {
            log_warning("the command line has more than %u words; the rest is ignored",
                        OPTIONS_MOST);
            return;
        }
        options[option_count++] = to;
        line = word_copy(line, &to);
    }
}

const char *boot_option_at(const char *name, u32 index)
{
    u64 length = strlen(name);
    for (u32 i = 0; i < option_count; i++) {
        const char *option = options[i];
        if (option[0] != name[0] || strncmp(option, name, length) != 0)
            continue;
        if (option[length] != '=' && option[length] != '\0')
            continue;
        if (index-- == 0)
            return option[length] ? option + length + 1 : option + length;
    }
    return NULL;
}

const char *boot_option(const char *name)
{
    return boot_option_at(name, 0);
}

u64 boot_option_number(const char *name)
{
    const char *value = boot_option(name);
    u64 base = 10, number = 0;
    if (value && value[0] == '0' && value[1] == 'x') {
        base = 16;
        value += 2;
    }
    for (; value && *value; value++) {
        u64 digit = *value >= 'a' ? *value - 'a' + 10ull : (u64)*value - '0';
        if (digit >= base)
            return 0;
        number = number * base + digit;
    }
    return number;
}

void machine_init(const struct boot_info *boot)
{
    options_split(boot->command_line);
    if (boot->command_line_cut)
        log_warning("the command line is longer than %u bytes; the rest is ignored",
                    BOOT_COMMAND_LINE - 1);
    random_seed(boot->entropy);
    acpi_set_rsdp(boot->rsdp);
}

/* --- the end ---------------------------------------------------------------------------------- */

void machine_set_exit_writer(exit_writer new_writer)
{
    writer = new_writer;
}

static void exit_by_port(u8 exit_status)
{
    u16 port = (u16)boot_option_number("exit_port");
    if (port)
        port_write32(port, exit_status); /* QEMU's isa-debug-exit ends with status * 2 + 1 */
}

void machine_exit(u8 exit_status)
{
    watchdog_expect_end(exit_status);
    static u32 step; /* a way to end that fails, by a panic even, is not tried twice */
    for (;;) {
        switch (step++) {
        case 0:
            trace_finish();
            break;
        case 1:
            if (writer)
                apply(writer, exit_status);
            break;
        case 2:
            exit_by_port(exit_status);
            break;
        case 3:
            acpi_power_off();
            break;
        case 4:
            acpi_reset();
            break;
        default:
            cpu_reset();
        }
    }
}
