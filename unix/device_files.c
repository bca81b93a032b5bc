/* Character devices: null, zero, full, random, tty; and the tree under /dev. */
#include "kernel/machine.h"
#include "kernel/user_copy.h"
#include "unix/descriptor.h"
#include "unix/virtual.h"

#define RANDOM_PIECE 256

static s64 null_read(struct file *f, struct transfer *x)
{
    (void)f, (void)x;
    return 0;
}

static s64 null_write(struct file *f, struct transfer *x)
{
    (void)f;
    transfer_skip(x, x->left);
    return (s64)x->done;
}

/* One buffer whose memory is there, nearly always. */
static __attribute__((noinline)) s64 zero_read_parts(struct transfer *x)
{
    u64 copied;
    s64 error = transfer_zero(x, x->left, &copied);
    return error ? transfer_stop(x, error) : (s64)x->done;
}

static s64 zero_read(struct file *f, struct transfer *x)
{
    (void)f;
    u64 bytes = x->left;
    if (likely(bytes == x->chunk) && likely(!zero_out(x->at, bytes))) {
        x->at += bytes;
        x->left = x->chunk = 0;
        return (s64)(x->done += bytes);
    }
    return zero_read_parts(x);
}

static s64 full_write(struct file *f, struct transfer *x)
{
    (void)f, (void)x;
    return -ENOSPC;
}

static s64 random_read(struct file *f, struct transfer *x)
{
    (void)f;
    u8 piece[RANDOM_PIECE];
    while (x->left) {
        u64 copied, bytes = min(x->left, sizeof(piece));
        random_bytes(piece, bytes);
        s64 error = transfer_out(x, piece, bytes, &copied);
        if (error)
            return transfer_stop(x, error);
    }
    return (s64)x->done;
}

/* What is written is looked at and forgotten: this kernel's randomness needs none of it. */
static s64 random_write(struct file *f, struct transfer *x)
{
    (void)f;
    u8 piece[RANDOM_PIECE];
    while (x->left) {
        u64 copied;
        s64 error = transfer_in(x, piece, min(x->left, sizeof(piece)), &copied);
        if (error)
            return transfer_stop(x, error);
    }
    return (s64)x->done;
}

#define DEVICE(read_function, write_function)                                                      \
    {                                                                                              \
        .name = "device", .bytes = sizeof(struct file), .read = (read_function),                   \
        .write = (write_function), .positioned = true,                                             \
    }

static const struct file_operations device_null = DEVICE(null_read, null_write);
const struct file_operations device_zero = DEVICE(zero_read, null_write);
static const struct file_operations device_full = DEVICE(zero_read, full_write);
static const struct file_operations device_random = DEVICE(random_read, random_write);

/* --- /dev ------------------------------------------------------------------------------------- */

static s64 target_text(const char *text, char *to, u64 most)
{
    u64 bytes = strlen(text);
    if (bytes > most)
        return -ERANGE;
    memcpy(to, text, bytes);
    return (s64)bytes;
}

static s64 fd_target(struct process *p, u32 index, char *to, u64 most)
{
    (void)p, (void)index;
    return target_text("/proc/self/fd", to, most);
}

static s64 stdin_target(struct process *p, u32 index, char *to, u64 most)
{
    (void)p, (void)index;
    return target_text("/proc/self/fd/0", to, most);
}

static s64 stdout_target(struct process *p, u32 index, char *to, u64 most)
{
    (void)p, (void)index;
    return target_text("/proc/self/fd/1", to, most);
}

static s64 stderr_target(struct process *p, u32 index, char *to, u64 most)
{
    (void)p, (void)index;
    return target_text("/proc/self/fd/2", to, most);
}

#define DEVICE_NODE(text, inode_number, kind, minor)                                               \
    {                                                                                              \
        .name = (text), .mode = S_IFCHR | 0666, .number = (inode_number), .parent = &virtual_dev,  \
        .device = (kind), .special = (1 << 8) | (minor),                                           \
    }
#define DEVICE_LINK(text, inode_number, function)                                                  \
    {                                                                                              \
        .name = (text), .mode = S_IFLNK | 0777, .number = (inode_number), .parent = &virtual_dev,  \
        .target = (function),                                                                      \
    }

/* Majors and minors: Documentation/admin-guide/devices.txt of Linux. */
static const struct virtual_node node_null = DEVICE_NODE("null", 4, &device_null, 3);
static const struct virtual_node node_zero = DEVICE_NODE("zero", 5, &device_zero, 5);
static const struct virtual_node node_full = DEVICE_NODE("full", 6, &device_full, 7);
static const struct virtual_node node_random = DEVICE_NODE("random", 7, &device_random, 8);
static const struct virtual_node node_urandom = DEVICE_NODE("urandom", 8, &device_random, 9);
/* There is no controlling terminal: opening it is ENXIO, as for a daemon. */
static const struct virtual_node node_tty = {
    .name = "tty", .mode = S_IFCHR | 0666, .number = 9, .parent = &virtual_dev, .special = 5 << 8};
static const struct virtual_node node_fd = DEVICE_LINK("fd", 10, fd_target);
static const struct virtual_node node_stdin = DEVICE_LINK("stdin", 11, stdin_target);
static const struct virtual_node node_stdout = DEVICE_LINK("stdout", 12, stdout_target);
static const struct virtual_node node_stderr = DEVICE_LINK("stderr", 13, stderr_target);

static const struct virtual_node *const dev_children[] = {
    &node_fd,     &node_full, &node_null,    &node_random, &node_stderr, &node_stdin,
    &node_stdout, &node_tty,  &node_urandom, &node_zero,   NULL};

const struct virtual_node virtual_dev = {
    .name = "dev", .mode = S_IFDIR | 0755, .number = 1, .children = dev_children};
