/* --config FILE: the options as JSON, with OPS's names where a key means the same.

   A key that is not known is an error that names it: an option that is silently left out is worse
   than one that is refused.  Files and Dirs are relative to where thunk is called, and keep their
   relative path in the image. */
#include "tools/options.h"

#include <jansson.h>
#include <string.h>

typedef void key_take(struct options *o, const char *where, json_t *value);

struct key {
    const char *name;
    key_take *take;
};

static const char *string_of(const char *where, json_t *value)
{
    if (!json_is_string(value))
        die(EXIT_USAGE, "%s: must be a text", where);
    return json_string_value(value);
}

static void strings_take(const char *where, json_t *value, struct text_list *to)
{
    size_t i;
    json_t *item;
    if (!json_is_array(value))
        die(EXIT_USAGE, "%s: must be a list of texts", where);
    json_array_foreach(value, i, item) text_list_add(to, string_of(where, item));
}

static void take_args(struct options *o, const char *where, json_t *value)
{
    strings_take(where, value, &o->arguments);
}

static void take_program(struct options *o, const char *where, json_t *value)
{
    o->program = text_copy(string_of(where, value));
}

static void take_env(struct options *o, const char *where, json_t *value)
{
    const char *name;
    json_t *item;
    if (!json_is_object(value))
        die(EXIT_USAGE, "%s: must be an object of texts", where);
    json_object_foreach(value, name, item)
        text_list_add(&o->env, text_of("%s=%s", name, string_of(where, item)));
}

static void take_files(struct options *o, const char *where, json_t *value)
{
    strings_take(where, value, &o->adds);
}

static void take_map(struct options *o, const char *where, json_t *value)
{
    const char *from;
    json_t *item;
    if (!json_is_object(value))
        die(EXIT_USAGE, "%s: must be an object of texts", where);
    json_object_foreach(value, from, item)
        text_list_add(&o->adds, text_of("%s:%s", from, string_of(where, item)));
}

static void take_memory(struct options *o, const char *where, json_t *value)
{
    const char *text = string_of(where, value);
    if (!size_read(text, &o->memory_bytes) || o->memory_bytes < MEMORY_LEAST ||
        o->memory_bytes % MiB)
        die(EXIT_USAGE, "%s: %s is no size in whole megabytes", where, text);
}

static void take_cpus(struct options *o, const char *where, json_t *value)
{
    json_int_t cpus = json_is_integer(value) ? json_integer_value(value) : 0;
    if (cpus < 1 || cpus > CPUS_MOST)
        die(EXIT_USAGE, "%s: must be a number of processors from 1 to %u", where, CPUS_MOST);
    o->cpus = (u32)cpus;
}

/* As OPS has them: "8080", which is the same port on both sides, or 8080; and "8080:80". */
static void ports_take(struct options *o, const char *where, json_t *value, const char *kind)
{
    u64 i;
    json_t *port;
    if (!json_is_array(value))
        die(EXIT_USAGE, "%s: must be a list of ports", where);
    json_array_foreach(value, i, port)
    {
        char *text = json_is_integer(port)
                         ? text_of("%lld%s", (long long)json_integer_value(port), kind)
                         : text_of("%s%s", string_of(where, port), kind);
        net_forward_read(&o->net, where, text);
        free(text);
    }
}

static void take_ports(struct options *o, const char *where, json_t *value)
{
    ports_take(o, where, value, "");
}

static void take_udp_ports(struct options *o, const char *where, json_t *value)
{
    ports_take(o, where, value, "/udp");
}

static void take_tap(struct options *o, const char *where, json_t *value)
{
    char *text = text_of("tap:%s", string_of(where, value));
    net_read(&o->net, where, text);
    free(text);
}

static void object_take(struct options *o, const char *where, json_t *object,
                        const struct key *keys);

static const struct key run_config_keys[] = {{"Memory", take_memory}, {"CPUs", take_cpus},
                                             {"Ports", take_ports},   {"UDPPorts", take_udp_ports},
                                             {"TapName", take_tap},   {}};

static void take_run_config(struct options *o, const char *where, json_t *value)
{
    object_take(o, where, value, run_config_keys);
}

static void take_cwd(struct options *o, const char *where, json_t *value)
{
    o->cwd = text_copy(string_of(where, value));
}

static void take_hostname(struct options *o, const char *where, json_t *value)
{
    o->hostname = text_copy(string_of(where, value));
}

static const struct key keys[] = {{"Program", take_program},
                                  {"Args", take_args},
                                  {"Env", take_env},
                                  {"Files", take_files},
                                  {"Dirs", take_files},
                                  {"MapDirs", take_map},
                                  {"RunConfig", take_run_config},
                                  {"Cwd", take_cwd},
                                  {"Hostname", take_hostname},
                                  {}};

static void object_take(struct options *o, const char *where, json_t *object,
                        const struct key *known)
{
    const char *name;
    json_t *value;
    if (!json_is_object(object))
        die(EXIT_USAGE, "%s: must be a JSON object", where);
    json_object_foreach(object, name, value)
    {
        char *at = text_of("%s: %s", where, name);
        const struct key *k = known;
        while (k->name && strcmp(k->name, name) != 0)
            k++;
        if (!k->name)
            die(EXIT_USAGE, "%s is a key that thunk does not know; take it out", at);
        k->take(o, at, value);
    }
}

void config_read(struct options *o, const char *path)
{
    json_error_t error;
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        die(EXIT_USAGE, "%s:%d: %s", path, error.line, error.text);
    object_take(o, path, root, keys);
    json_decref(root);
}
