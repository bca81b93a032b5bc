/* Debian packages into a tree: see deb.h.

   apt resolves the dependencies against an empty dpkg status, so the tree is whole whatever this
   machine has installed.  It uses the machine's package lists; where there are none, or they do not
   know the package, lists of our own are fetched into the cache, which needs no root.  Maintainer
   scripts are not run: what a package makes only when it is configured is not there. */
#include "tools/deb.h"
#include "tools/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define APT_WORDS_MOST 64

const char *cache_folder(void)
{
    static char *folder;
    if (folder)
        return folder;
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *base = cache && *cache == '/' ? text_copy(cache)
                 : home && *home == '/' ? text_of("%s/.cache", home)
                                        : text_of("/tmp/thunk-%u", (unsigned)getuid());
    mkdir(base, 0700);
    folder = text_of("%s/thunk", base);
    mkdir(folder, 0755);
    free(base);
    if (access(folder, W_OK) == 0)
        return folder;
    free(folder);
    return folder = NULL;
}

static char *cache_subfolder(const char *name)
{
    const char *cache = cache_folder();
    if (!cache)
        die(EXIT_FAILED, "--deb: there is no cache folder to write to; set XDG_CACHE_HOME");
    char *path = text_of("%s/%s", cache, name);
    if (mkdir(path, 0755) != 0 && errno != EEXIST)
        die(EXIT_FAILED, "%s: cannot be made: %s", path, strerror(errno));
    return path;
}

/* Which package lists apt uses. */
enum apt_lists { LISTS_OF_MACHINE, LISTS_OF_OURS };

struct apt_words {
    const char *words[APT_WORDS_MOST + 1];
    u32 count;
};

static void apt_word(struct apt_words *a, const char *word)
{
    if (a->count == APT_WORDS_MOST)
        die(EXIT_USAGE, "--deb: too many packages");
    a->words[a->count++] = word;
}

static void apt_option(struct apt_words *a, const char *name, const char *value)
{
    apt_word(a, "-o");
    apt_word(a, text_of("%s=%s", name, value));
}

/* `archives` is where apt looks for what was downloaded already. */
static void apt_begin(struct apt_words *a, enum apt_lists lists, const char *archives)
{
    *a = (struct apt_words){};
    apt_word(a, "apt-get");
    apt_option(a, "Dir::State::status", "/dev/null");
    apt_option(a, "Debug::NoLocking", "1");
    apt_option(a, "Dir::Cache::archives", cache_subfolder(archives));
    free(cache_subfolder(text_of("%s/partial", archives)));
    apt_option(a, "Dir::Cache::pkgcache", "");
    apt_option(a, "Dir::Cache::srcpkgcache", "");
    apt_option(a, "APT::Sandbox::User", "");
    apt_option(a, "APT::Install-Recommends", "0");
    if (lists == LISTS_OF_OURS) {
        char *folder = cache_subfolder("lists");
        free(cache_subfolder("lists/partial"));
        apt_option(a, "Dir::State::Lists", folder);
        free(folder);
    }
}

static char *apt_resolve(enum apt_lists lists, const struct text_list *packages, int *failed)
{
    struct apt_words a;
    apt_begin(&a, lists, "none"); /* an empty one: it does not name what it has already */
    apt_word(&a, "--print-uris");
    apt_word(&a, "-y");
    apt_word(&a, "install");
    for (u32 i = 0; i < packages->count; i++)
        apt_word(&a, packages->items[i]);
    return command_output(a.words, failed);
}

static void apt_update(void)
{
    struct apt_words a;
    int failed;
    apt_begin(&a, LISTS_OF_OURS, "none");
    apt_word(&a, "update");
    progress("--deb: fetching package lists");
    free(command_output(a.words, &failed));
    if (failed)
        say("--deb: the package lists could not be fetched: %s", command_last_error());
}

/* Downloads what is not there yet into the cache. */
static void apt_download(enum apt_lists lists, const struct text_list *packages)
{
    struct apt_words a;
    int failed;
    apt_begin(&a, lists, "debs");
    apt_word(&a, "-y");
    apt_word(&a, "--download-only");
    apt_word(&a, "install");
    for (u32 i = 0; i < packages->count; i++)
        apt_word(&a, packages->items[i]);
    free(command_output(a.words, &failed));
    if (failed)
        die(EXIT_FAILED, "--deb: a package could not be downloaded: %s", command_last_error());
}

/* Unpacks one package into the cache, once; the folder appears whole or not at all. */
static char *deb_unpacked(const char *file)
{
    char *archive = text_of("%s/debs/%s", cache_folder(), file);
    char *folder = text_of("%s/unpacked/%s", cache_folder(), file);
    if (access(folder, F_OK) == 0) {
        free(archive);
        return folder;
    }
    free(cache_subfolder("unpacked"));
    char *partial = text_of("%s.%d", folder, (int)getpid());
    const char *unpack[] = {"dpkg-deb", "-x", archive, partial, NULL};
    int failed;
    progress("--deb: unpacking %s", file);
    free(command_output(unpack, &failed));
    if (failed)
        die(EXIT_FAILED, "%s: cannot be unpacked: %s", archive, command_last_error());
    if (rename(partial, folder) != 0 && access(folder, F_OK) != 0)
        die(EXIT_FAILED, "%s: cannot be made: %s", folder, strerror(errno));
    free(partial);
    free(archive);
    return folder;
}

/* The file names in the output of --print-uris: 'URI' NAME SIZE HASH. */
static void names_read(char *output, struct text_list *names)
{
    char *rest = output;
    for (char *line; (line = strsep(&rest, "\n"));) {
        char *end = line[0] == '\'' ? strstr(line, "' ") : NULL;
        if (!end)
            continue;
        char *name = end + 2;
        name[strcspn(name, " ")] = 0;
        if (!strchr(name, '/'))
            text_list_add(names, name);
    }
}

static bool names_there(const struct text_list *names)
{
    for (u32 i = 0; i < names->count; i++) {
        char *archive = text_of("%s/debs/%s", cache_folder(), names->items[i]);
        bool there = access(archive, R_OK) == 0;
        free(archive);
        if (!there)
            return false;
    }
    return true;
}

/* As every Debian system since 12 has them, before packages put files below. */
static void merged_usr_add(struct tree *t)
{
    tree_add_symlink(t, "/bin", "usr/bin");
    tree_add_symlink(t, "/sbin", "usr/sbin");
    tree_add_symlink(t, "/lib", "usr/lib");
    tree_add_symlink(t, "/lib64", "usr/lib64");
}

void debs_add(struct tree *t, const struct text_list *packages)
{
    if (!command_exists("apt-get") || !command_exists("dpkg-deb"))
        die(EXIT_FAILED, "--deb: needs apt-get and dpkg-deb, which this machine does not have");
    for (u32 i = 0; i < packages->count; i++) {
        if (packages->items[i][0] == '-' || !packages->items[i][0])
            die(EXIT_USAGE, "--deb %s: this is no package's name", packages->items[i]);
    }
    int failed;
    enum apt_lists lists = LISTS_OF_MACHINE;
    progress("--deb: resolving dependencies");
    char *output = apt_resolve(lists, packages, &failed);
    if (failed) {
        lists = LISTS_OF_OURS;
        apt_update();
        output = apt_resolve(lists, packages, &failed);
    }
    if (failed)
        die(EXIT_FAILED, "--deb: %s", command_last_error());
    struct text_list names = {};
    names_read(output, &names);
    free(output);
    if (!names_there(&names)) {
        progress("--deb: downloading %u packages", names.count);
        apt_download(lists, packages);
    }
    t->owned_by_root = true;
    merged_usr_add(t);
    for (u32 i = 0; i < names.count; i++)
        tree_add(t, deb_unpacked(names.items[i]), "/");
    t->owned_by_root = false;
}
