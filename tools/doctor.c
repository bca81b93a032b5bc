/* `thunk doctor`: see doctor.h.  Nothing is guessed: what can be tried is tried. */
#include "tools/doctor.h"
#include "tools/command.h"
#include "tools/machine.h"
#include "tools/run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool something_missing;

static void found(const char *what, const char *detail)
{
    printf("ok       %-22s %s\n", what, detail);
}

/* Without it `thunk run` does not work. */
static void missing(const char *what, const char *how)
{
    something_missing = true;
    printf("missing  %-22s %s\n", what, how);
}

/* Without it something else does not work, which `how` says. */
static void absent(const char *what, const char *how)
{
    printf("absent   %-22s %s\n", what, how);
}

static void check_qemu(void)
{
    const char *version[] = {"qemu-system-x86_64", "--version", NULL};
    int failed;
    char *text = command_output(version, &failed);
    text[strcspn(text, "\n")] = 0;
    if (failed)
        missing("qemu-system-x86_64", "apt-get install qemu-system-x86");
    else
        found("qemu-system-x86_64", text);
    free(text);
}

static void check_kernel(void)
{
    if (access(machine_kernel(), R_OK) == 0)
        found("kernel", machine_kernel());
    else
        missing("kernel", "build it with make, or name it in THUNK_KERNEL");
}

static void check_kvm(void)
{
    const char *refusal =
        something_missing ? "cannot be tried without what is missing above" : kvm_refusal();
    if (refusal)
        absent("KVM", refusal);
    else
        found("KVM", "a guest's user mode runs under it");
    found("TCG", refusal ? "is what --accel auto takes" : "with --accel tcg");
}

static void check_program(const char *name, const char *package, const char *purpose)
{
    if (command_exists(name))
        found(name, purpose);
    else
        absent(name, text_of("%s; apt-get install %s", purpose, package));
}

static void check_network(void)
{
    found("network", "--net user needs no rights");
    if (access("/dev/net/tun", R_OK | W_OK) == 0)
        found("taps", "--net tap:NAME, with a tap that is there: ip tuntap add dev NAME mode tap");
    else
        absent("taps", text_of("/dev/net/tun: %s; --net user works without", strerror(errno)));
}

int doctor_command(int count, char **words)
{
    if (count == 1 && !strcmp(words[0], "--help")) {
        puts("thunk doctor: say what this machine can do, what is missing and how to get it\n"
             "example: thunk doctor");
        return EXIT_OK;
    }
    if (count)
        die(EXIT_USAGE, "write thunk doctor");
    check_qemu();
    check_kernel();
    check_kvm();
    check_program("apt-get", "apt", "for --deb");
    check_program("dpkg-deb", "dpkg", "for --deb");
    check_program("gdb", "gdb", "for --gdb");
    if (access("/usr/share/OVMF/OVMF_CODE_4M.fd", R_OK) == 0)
        found("UEFI firmware", "/usr/share/OVMF/OVMF_CODE_4M.fd (thunk does not use it yet)");
    else
        absent("UEFI firmware", "thunk does not use it yet; apt-get install ovmf");
    check_network();
    return something_missing ? EXIT_FAILED : EXIT_OK;
}
