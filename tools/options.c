/* The options of `thunk run` and `thunk build`: see options.h.  One table says what there is; what
   does not exist yet stands in it too, and is refused by name. */
#include "tools/options.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_SECONDS_MOST 1000000000.0

typedef void option_take(struct options *o, const char *value);

struct option {
    const char *name;
    const char *value; /* its name in the help; NULL: takes none */
    option_take *take; /* NULL: refused, because of `help` */
    const char *help;
};

static const struct option table[];

bool size_read(const char *text, u64 *bytes)
{
    char *end;
    if (!isdigit((unsigned char)*text))
        return false;
    u64 number = strtoull(text, &end, 10);
    static const char units[] = "KMGT";
    const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    u32 shift = unit ? 10 * (u32)(unit - units + 1) : 0;
    if (unit)
        end++;
    if (unit && end[0] == 'i' && end[1] == 'B')
        end++;
    if (*end == 'B')
        end++;
    if (*end || number > (~0ull >> 1) >> shift)
        return false;
    *bytes = number << shift;
    return true;
}

static void take_root(struct options *o, const char *value)
{
    o->root = value;
}

static void take_add(struct options *o, const char *value)
{
    text_list_add(&o->adds, value);
}

static void take_deb(struct options *o, const char *value)
{
    text_list_add(&o->debs, value);
}

static void take_env(struct options *o, const char *value)
{
    if (!strchr(value, '=') || value[0] == '=')
        die(EXIT_USAGE, "-e %s: write it as NAME=VALUE", value);
    text_list_add(&o->env, value);
}

static void take_cwd(struct options *o, const char *value)
{
    if (value[0] != '/')
        die(EXIT_USAGE, "--cwd %s: must be an absolute path in the image", value);
    o->cwd = value;
}

static void take_hostname(struct options *o, const char *value)
{
    if (!*value || strlen(value) > 64)
        die(EXIT_USAGE, "--hostname: must have 1 to 64 characters");
    o->hostname = value;
}

static void take_memory(struct options *o, const char *value)
{
    if (!size_read(value, &o->memory_bytes) || o->memory_bytes < MEMORY_LEAST ||
        o->memory_bytes % MiB || o->memory_bytes > 1024 * GiB)
        die(EXIT_USAGE, "-m %s: write a size in whole megabytes, at least 2M, such as 64M or 1G",
            value);
}

static void take_cpus(struct options *o, const char *value)
{
    char *end;
    u64 cpus = strtoull(value, &end, 10);
    if (!isdigit((unsigned char)*value) || *end || cpus == 0 || cpus > CPUS_MOST)
        die(EXIT_USAGE, "-c %s: write a number of processors from 1 to %u", value, CPUS_MOST);
    o->cpus = (u32)cpus;
}

static void take_net(struct options *o, const char *value)
{
    net_read(&o->net, "--net", value);
}

static void take_port(struct options *o, const char *value)
{
    net_forward_read(&o->net, "-p", value);
}

static void take_capture(struct options *o, const char *value)
{
    o->net.capture = value;
}

static void take_disk(struct options *o, const char *value)
{
    o->disk = value;
}

static void take_keep(struct options *o, const char *value)
{
    if (!*value)
        die(EXIT_USAGE, "--keep: write the name of an image");
    o->keep = value;
}

static void take_no_checksums(struct options *o, const char *value)
{
    (void)value;
    o->no_checksums = true;
}

static void take_output(struct options *o, const char *value)
{
    o->output = value;
}

static void take_format(struct options *o, const char *value)
{
    (void)o;
    if (strcmp(value, "raw") != 0)
        die(EXIT_USAGE, "--format %s: does not exist yet; use --format raw", value);
}

static void take_size(struct options *o, const char *value)
{
    if (!size_read(value, &o->size_bytes) || o->size_bytes == 0)
        die(EXIT_USAGE, "--size %s: write a size such as 64M or 1G", value);
}

/* The index of `value` among the names; ends the command when it is none of them. */
static u32 one_of(const char *option, const char *value, const char *const *names, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        if (!strcmp(value, names[i]))
            return i;
    }
    die(EXIT_USAGE, "%s %s: write one of %s, %s, %s", option, value, names[0], names[1],
        count > 2 ? names[2] : names[0]);
}

static void take_accel(struct options *o, const char *value)
{
    static const char *const names[] = {"auto", "kvm", "tcg"};
    o->accel = (enum accel)one_of("--accel", value, names, countof(names));
}

static void take_machine(struct options *o, const char *value)
{
    static const char *const names[] = {"microvm", "q35", "pc"};
    o->machine = (enum machine_type)one_of("--machine", value, names, countof(names));
}

static void take_firmware(struct options *o, const char *value)
{
    (void)o;
    static const char *const names[] = {"direct", "bios", "uefi"};
    if (one_of("--firmware", value, names, countof(names)) != 0)
        die(EXIT_USAGE, "--firmware %s: does not exist yet; use --firmware direct", value);
}

static void take_strace(struct options *o, const char *value)
{
    (void)value;
    o->strace = true;
}

static void take_trace(struct options *o, const char *value)
{
    o->trace = value;
}

static void take_flame(struct options *o, const char *value)
{
    o->flame = value;
}

static void take_timeline(struct options *o, const char *value)
{
    (void)value;
    o->timeline = true;
}

static void take_gdb(struct options *o, const char *value)
{
    char *end;
    u64 port = strtoull(value, &end, 10);
    if (!isdigit((unsigned char)*value) || *end || port == 0 || port > 65535)
        die(EXIT_USAGE, "--gdb %s: write a port number", value);
    o->gdb_port = (u32)port;
}

static void take_verbose(struct options *o, const char *value)
{
    (void)o, (void)value;
    say_verbose = true;
}

static void take_kernel_arg(struct options *o, const char *value)
{
    text_list_add(&o->kernel_args, value);
}

static void take_qemu_arg(struct options *o, const char *value)
{
    text_list_add(&o->qemu_args, value);
}

static void take_timeout(struct options *o, const char *value)
{
    char *end;
    double seconds = strtod(value, &end);
    if (end == value || *end || !(seconds > 0) || seconds > TIMEOUT_SECONDS_MOST)
        die(EXIT_USAGE, "--timeout %s: write a number of seconds", value);
    o->timeout_ns = (u64)(seconds * 1e9);
}

static void take_config(struct options *o, const char *value)
{
    config_read(o, value);
}

static void take_help(struct options *o, const char *value)
{
    (void)value;
    if (o->verb == VERB_RUN)
        puts("thunk run [options] PROGRAM [ARG...]: build an image, boot it, be the program\n"
             "example: echo 'hello' | thunk run -m 64M sort\n");
    else
        puts("thunk build -o IMAGE [options] PROGRAM [ARG...]: write an image with the program\n"
             "example: thunk build -o lua.img --deb lua5.4 lua5.4 -e 'print(6 * 7)'\n");
    for (const struct option *p = table; p->name; p++) {
        if (p->take) {
            char *left = text_of("%s%s%s", p->name, p->value ? " " : "", p->value ? p->value : "");
            printf("  %-24s %s\n", left, p->help);
            free(left);
        }
    }
    puts(
        "\nWithout --root, PROGRAM is taken from this machine with the shared libraries it needs.");
    if (o->verb == VERB_RUN)
        puts("\nThe program can write to its disk.  Without --keep all of that is gone afterwards: "
             "the\n"
             "image is a temporary one, and --disk IMAGE is not changed.  With --keep it stays, "
             "and what\n"
             "the program has synced is on this machine's disk, whatever happens then.  An IMAGE "
             "that\n"
             "exists is booted as it is: PROGRAM (inside it), ARGs, -e, --cwd and --hostname may "
             "be\n"
             "new ones, or be left out; --root, --add, --deb and --size count only when it is "
             "made.");
    exit(EXIT_OK);
}

static const struct option table[] = {
    {"--root", "DIR", take_root, "DIR becomes the image's root; PROGRAM is a path inside it"},
    {"--add", "HOST[:GUEST]", take_add, "add a file or a folder (repeatable)"},
    {"--deb", "PACKAGE", take_deb, "unpack a Debian package and what it needs (repeatable)"},
    {"-e", "NAME=VALUE", take_env, "a variable of the environment (repeatable)"},
    {"--cwd", "DIR", take_cwd, "the working directory (default /)"},
    {"--hostname", "NAME", take_hostname, "the machine's name"},
    {"-m", "SIZE", take_memory, "memory (default 256M)"},
    {"-c", "CPUS", take_cpus, "processors, 1 to 64 (default 1)"},
    {"-p", "HOST:GUEST[/udp]", take_port, "forward a port of this machine (repeatable)"},
    {"--net", "user|none|tap:NAME", take_net,
     "run: the network (default user); tap:NAME,ADDRESS/BITS,gateway=ADDRESS,dns=ADDRESS for a "
     "fixed address"},
    {"--disk", "IMAGE", take_disk, "run: boot this image; what the program writes is thrown away"},
    {"--keep", "IMAGE", take_keep,
     "run: build the image there, or boot it when it is there;"
     " what the program writes stays in it"},
    {"-o", "IMAGE", take_output, "build: where to write the image"},
    {"--config", "FILE", take_config, "options from a JSON file"},
    {"--accel", "auto|kvm|tcg", take_accel, "auto tries KVM, and takes TCG when it cannot run"},
    {"--machine", "microvm|q35|pc", take_machine, "the kind of machine (default microvm)"},
    {"--firmware", "direct", take_firmware, "how the kernel is loaded (direct)"},
    {"--format", "raw", take_format, "build: the image's format (raw)"},
    {"--size", "SIZE", take_size, "the size of the disk (build: contents and 64M; run: 1G more)"},
    {"--no-checksums", NULL, take_no_checksums, "files of the image get no data checksums"},
    {"--strace", NULL, take_strace, "show the program's system calls on stderr"},
    {"--trace", "FILE", take_trace, "write a trace, for Perfetto or chrome://tracing"},
    {"--flame", "FILE.svg", take_flame, "write a flame graph by closure and system call"},
    {"--timeline", NULL, take_timeline, "show what starting took, step by step"},
    {"--capture", "FILE.pcap", take_capture, "write the network's frames, for Wireshark"},
    {"--gdb", "PORT", take_gdb, "wait for gdb on that port of this machine"},
    {"-v", NULL, take_verbose, "say what goes into the image, and what the kernel says"},
    {"--kernel-arg", "ARG", take_kernel_arg, "passed to the kernel as it is (repeatable)"},
    {"--qemu-arg", "ARG", take_qemu_arg, "passed to QEMU as it is (repeatable)"},
    {"--timeout", "SECONDS", take_timeout, "end it after that time, status 124"},
    {"--help", NULL, take_help, "this text"},
    {},
};

/* Takes the option at words[*i]; its value may be joined with '=' or be the next word. */
static void option_read(struct options *o, int count, char **words, int *i)
{
    const char *word = words[*i];
    for (const struct option *p = table; p->name; p++) {
        u64 length = strlen(p->name);
        bool joined = text_begins(p->name, "--") && p->value &&
                      word[length < strlen(word) ? length : 0] == '=';
        if (strncmp(word, p->name, length) != 0 || (word[length] && !joined))
            continue;
        if (!p->take)
            die(EXIT_USAGE, "%s: %s", p->name, p->help);
        if (p->value && !joined && *i + 1 >= count)
            die(EXIT_USAGE, "%s: write %s %s", p->name, p->name, p->value);
        const char *value = !p->value ? NULL : joined ? word + length + 1 : words[++*i];
        p->take(o, value);
        return;
    }
    die(EXIT_USAGE, "%s: there is no such option; thunk %s --help lists them", word,
        o->verb == VERB_RUN ? "run" : "build");
}

static void options_check(const struct options *o)
{
    const char *verb = o->verb == VERB_RUN ? "run" : "build";
    if (o->disk && o->verb == VERB_BUILD)
        die(EXIT_USAGE, "--disk: is for thunk run; use -o to name the image to build");
    if (o->output && o->verb == VERB_RUN)
        die(EXIT_USAGE, "-o: is for thunk build");
    if (o->keep && o->verb == VERB_BUILD)
        die(EXIT_USAGE, "--keep: is for thunk run; use -o to name the image to build");
    if (o->keep && o->disk)
        die(EXIT_USAGE, "--keep and --disk: write one of them; only --keep changes the image");
    if (o->disk && (o->size_bytes || o->no_checksums))
        die(EXIT_USAGE, "%s: is for an image that is made",
            o->size_bytes ? "--size" : "--no-checksums");
    if ((o->trace || o->flame) && o->verb == VERB_BUILD)
        die(EXIT_USAGE, "%s: is for thunk run", o->trace ? "--trace" : "--flame");
    if ((o->trace && !*o->trace) || (o->flame && !*o->flame))
        die(EXIT_USAGE, "%s: write the name of a file", o->trace ? "--trace" : "--flame");
    if (o->trace && o->flame && !strcmp(o->trace, o->flame))
        die(EXIT_USAGE, "--flame %s: is where --trace writes to", o->flame);
    if (o->disk && (o->program || o->root || o->adds.count || o->debs.count || o->env.count ||
                    o->cwd || o->hostname))
        die(EXIT_USAGE, "--disk: the image says already what is run, with what files and how");
    if (!o->disk && !o->keep && !o->program)
        die(EXIT_USAGE, "write what is to be run: thunk %s [options] PROGRAM [ARG...]", verb);
    if (o->verb == VERB_BUILD && !o->output)
        die(EXIT_USAGE, "write where the image goes: thunk build -o IMAGE ...");
    if (o->program && !*o->program)
        die(EXIT_USAGE, "PROGRAM is empty");
    if (o->verb == VERB_BUILD && (o->net.asked || o->net.forward_count || o->net.capture))
        die(EXIT_USAGE, "%s: is for thunk run",
            o->net.capture ? "--capture"
            : o->net.asked ? "--net"
                           : "-p");
    if (o->verb == VERB_RUN)
        net_check(&o->net);
}

void options_read(struct options *o, enum verb verb, int count, char **words)
{
    *o = (struct options){.verb = verb, .memory_bytes = 256 * MiB, .cpus = 1};
    int i = 0;
    for (; i < count && words[i][0] == '-' && words[i][1]; i++) {
        if (!strcmp(words[i], "--")) {
            i++;
            break;
        }
        option_read(o, count, words, &i);
    }
    if (i < count) {
        o->program = words[i++];
        if (i < count)
            o->arguments =
                (struct text_list){}; /* the command line's arguments replace a config's */
    }
    for (; i < count; i++)
        text_list_add(&o->arguments, words[i]);
    options_check(o);
}
