/* `thunk`: the command that people type.  This file knows the verbs; each is in a file of its own.
 */
#include "tools/check.h"
#include "tools/doctor.h"
#include "tools/look.h"
#include "tools/run.h"

#include <stdio.h>
#include <string.h>

struct verb_entry {
    const char *name;
    int (*command)(int count, char **words);
    const char *help;
};

static const struct verb_entry verbs[] = {
    {"run", run_command, "build an image in a temporary place, boot it, be the program"},
    {"build", build_command, "write an image with a program and its files"},
    {"ls", ls_command, "list a folder of an image"},
    {"tree", tree_command, "show all that is below a folder of an image"},
    {"cat", cat_command, "write a file of an image to standard output"},
    {"cp", cp_command, "copy files out of an image"},
    {"stat", stat_command, "show an image's settings, or a file's attributes"},
    {"doctor", doctor_command, "say what this machine can do, and what is missing"},
    {"check", check_command, "verify an image, and say what is wrong and where"},
    {"dump", dump_command, "show the records of an image's log"},
    {},
};

static void help_print(void)
{
    puts("thunk VERB ...: runs a Linux program as the only program of a virtual machine\n"
         "example: thunk run sha256sum --version\n");
    for (const struct verb_entry *v = verbs; v->name; v++)
        printf("  %-8s %s\n", v->name, v->help);
    puts("\nthunk VERB --help says more.");
}

int main(int count, char **words)
{
    if (count < 2)
        die(EXIT_USAGE, "write thunk VERB ...; thunk --help lists the verbs");
    if (!strcmp(words[1], "--help") || !strcmp(words[1], "-h") || !strcmp(words[1], "help")) {
        help_print();
        return EXIT_OK;
    }
    for (const struct verb_entry *v = verbs; v->name; v++) {
        if (strcmp(words[1], v->name) != 0)
            continue;
        return v->command(count - 2, words + 2);
    }
    die(EXIT_USAGE, "%s: there is no such verb; thunk --help lists them", words[1]);
}
