/* Changing the image's settings (what it runs): all values of a name at once.  For `thunk`, which
   does so before the image is booted; what is mounted in the kernel does not. */
#include "fs/log.h"

static struct setting *setting_make(struct filesystem *fs, const char *name, const char *value)
{
    u64 name_bytes = strlen(name), value_bytes = strlen(value);
    struct setting *s = arena_allocate(&fs->arena, sizeof(*s) + name_bytes + value_bytes + 2);
    if (!s)
        return NULL;
    s->next = NULL;
    s->name_bytes = (u32)name_bytes;
    memcpy(s->text, name, name_bytes + 1);
    memcpy(s->text + name_bytes + 1, value, value_bytes + 1);
    return s;
}

/* Of its record. */
static u64 setting_bytes(const char *name, const char *value)
{
    return align_up(sizeof(struct record_setting) + strlen(name) + strlen(value), 8);
}

static void setting_log(struct filesystem *fs, const char *name, const char *value, u16 operation)
{
    struct record_setting r = {
        .name_bytes = (u16)strlen(name), .operation = operation, .value_bytes = (u32)strlen(value)};
    log_record(fs, &r.r, sizeof(r), RECORD_SETTING, name, r.name_bytes, value, r.value_bytes);
}

/* Takes the old values out of the list.  Their memory stays until unmount. */
static void settings_drop(struct filesystem *fs, const char *name)
{
    struct setting **link = &fs->settings;
    u64 bytes = strlen(name);
    fs->settings_last = NULL;
    while (*link) {
        struct setting *s = *link;
        if (s->name_bytes == bytes && memcmp(s->text, name, bytes) == 0) {
            fs->segments->setting_bytes -= 2 * setting_bytes(name, s->text + bytes + 1);
            *link = s->next;
        } else {
            fs->settings_last = s;
            link = &s->next;
        }
    }
}

static status values_check(const char *name, const char *const *values, u32 count, u64 *bytes)
{
    *bytes = setting_bytes(name, "");
    if (!*name || strlen(name) > SETTING_NAME_MOST)
        return status_error(EINVAL, "fs: a setting's name has 1 to 64 bytes", strlen(name));
    for (u32 n = 0; n < count; n++) {
        if (strlen(values[n]) > SETTING_VALUE_MOST)
            return status_error(EINVAL, "fs: a setting of more than 64 KiB", strlen(values[n]));
        *bytes += setting_bytes(name, values[n]);
    }
    return *bytes <= LOG_CHANGE_MOST
               ? STATUS_OK
               : status_error(E2BIG, "fs: settings of more than 120 KiB", *bytes);
}

status filesystem_setting_change(struct filesystem *fs, const char *name, const char *const *values,
                                 u32 count)
{
    u64 bytes;
    struct setting *made = NULL, **last = &made;
    status s = values_check(name, values, count, &bytes);
    if (is_ok(s) && fs->checkpoint)
        s = status_error(EAGAIN, "fs: a checkpoint is being written", 0);
    for (u32 n = 0; n < count && is_ok(s); n++, last = &(*last)->next) {
        *last = setting_make(fs, name, values[n]);
        if (!*last)
            return status_error(ENOMEM, "fs: no memory for a setting", bytes);
    }
    if (is_ok(s))
        s = log_begin(fs, bytes, LOG_GROWS);
    if (!is_ok(s))
        return s;
    setting_log(fs, name, "", SETTING_REMOVE);
    for (u32 n = 0; n < count; n++)
        setting_log(fs, name, values[n], SETTING_APPEND);
    log_end(fs);
    settings_drop(fs, name);
    for (u32 n = 0; n < count; n++)
        fs->segments->setting_bytes += 2 * setting_bytes(name, values[n]);
    *(fs->settings_last ? &fs->settings_last->next : &fs->settings) = made;
    for (struct setting *k = made; k; k = k->next)
        fs->settings_last = k;
    return STATUS_OK;
}
