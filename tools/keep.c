/* What an image that exists is to run: see keep.h.

   The image's settings are compared with what the command line asks for, and written only when they
   differ, through the same log as everything else. */
#include "tools/keep.h"
#include "tools/image.h"
#include "tools/mounted.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The values of one setting that are wanted, and whether the command line says anything of it. */
struct wanted {
    const char *name;
    bool given;
    struct text_list values;
};

static void values_now(struct filesystem *fs, const char *name, struct text_list *to)
{
    const char *value;
    for (u32 n = 0; (value = filesystem_setting(fs, name, n)); n++)
        text_list_add(to, value);
}

static bool values_equal(const struct text_list *a, const struct text_list *b)
{
    bool equal = a->count == b->count;
    for (u32 n = 0; equal && n < a->count; n++)
        equal = !strcmp(a->items[n], b->items[n]);
    return equal;
}

/* PROGRAM as a path in the image: as it is when it has a '/', otherwise where PATH finds it. */
static char *program_inside(struct mounted *m, const struct options *o)
{
    if (strchr(o->program, '/'))
        return mounted_has(m, o->program)
                   ? text_of("%s%s", *o->program == '/' ? "" : "/", o->program)
                   : NULL;
    for (const char *path = image_path; *path;) {
        int length = (int)strcspn(path, ":");
        char *file = text_of("%.*s/%s", length, path, o->program);
        if (mounted_has(m, file))
            return file;
        free(file);
        path += length + (path[length] == ':');
    }
    return NULL;
}

static void want_program(struct mounted *m, const struct options *o, struct wanted *program,
                         struct wanted *arg)
{
    if (!o->program)
        return;
    char *inside = program_inside(m, o);
    if (!inside)
        die(EXIT_MISSING, "%s: is not in %s, which exists and is booted as it is", o->program,
            o->keep);
    program->given = arg->given = true;
    text_list_add(&program->values, inside);
    text_list_add(&arg->values, o->program);
    for (u32 n = 0; n < o->arguments.count; n++)
        text_list_add(&arg->values, o->arguments.items[n]);
    free(inside);
}

/* Variables that are given take the place of those of the same name; the others stay. */
static void want_env(struct filesystem *fs, const struct options *o, struct wanted *env)
{
    struct text_list now = {};
    if (!o->env.count)
        return;
    env->given = true;
    values_now(fs, "env", &now);
    for (u32 n = 0; n < now.count; n++) {
        bool replaced = false;
        for (u32 k = 0; k < o->env.count && !replaced; k++)
            replaced = !strncmp(now.items[n], o->env.items[k], strcspn(now.items[n], "=") + 1);
        if (!replaced)
            text_list_add(&env->values, now.items[n]);
    }
    for (u32 k = 0; k < o->env.count; k++)
        text_list_add(&env->values, o->env.items[k]);
}

static void want_text(struct wanted *w, const char *value)
{
    if (!value)
        return;
    w->given = true;
    text_list_add(&w->values, value);
}

void keep_settings(const struct options *o, int fd)
{
    struct wanted wanted[] = {{.name = "program"},
                              {.name = "arg"},
                              {.name = "env"},
                              {.name = "cwd"},
                              {.name = "hostname"}};
    struct mounted *m = image_mount_open(fcntl(fd, F_DUPFD_CLOEXEC, 3), o->keep);
    struct filesystem *fs = mounted_filesystem(m);
    want_program(m, o, &wanted[0], &wanted[1]);
    want_env(fs, o, &wanted[2]);
    want_text(&wanted[3], o->cwd);
    want_text(&wanted[4], o->hostname);
    for (u32 n = 0; n < countof(wanted); n++) {
        struct text_list now = {};
        values_now(fs, wanted[n].name, &now);
        if (wanted[n].given && !values_equal(&now, &wanted[n].values))
            mounted_setting(m, wanted[n].name, &wanted[n].values);
    }
    mounted_end(m);
    image_unmount(m);
}
