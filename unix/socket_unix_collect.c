/* Sockets on their way inside of each other: an AF_UNIX socket whose only references are in
   messages that nobody can receive any more is closed.

   It is looked for when a socket is closed while there are descriptors on their way.  A socket can
   be reached when something else than a message refers to its file, or when it lies in a message of
   one that can be reached, or waits to be accepted by one.  What then cannot be reached and is on
   the way loses its messages, and with them its references. */
#include "unix/socket_list.h"
#include "unix/socket_unix.h"

static struct socket_unix *next_of(struct list **at)
{
    while (*at != socket_list()) {
        struct socket *s = container_of(*at, struct socket, link);
        *at = (*at)->next;
        if (s->family == AF_UNIX)
            return socket_unix_of(s);
    }
    return NULL;
}

#define for_each_unix(u)                                                                           \
    for (struct list *at_ = socket_list()->next; at_ != NULL; at_ = NULL)                          \
        for (struct socket_unix * (u); ((u) = next_of(&at_));)

static struct socket_unix *unix_of_file(struct file *f)
{
    struct socket *s = socket_of(f);
    return s && s->family == AF_UNIX ? socket_unix_of(s) : NULL;
}

closure_function(socket_file_visitor, way_count, (), struct file *f)
{
    struct socket_unix *u = unix_of_file(f);
    if (u)
        u->on_the_way++;
}

/* True: it was not known before. */
closure_function(socket_file_visitor, way_reach, (bool *more), struct file *f)
{
    struct socket_unix *u = unix_of_file(f);
    if (u && !u->reached)
        *bound(more) = u->reached = true;
}

/* What is in its messages, and in those of connections that it has not accepted. */
static void reach_from(struct socket_unix *u, bool *more)
{
    socket_unix_visit_files(u, stack_closure(way_reach, more));
    list_for_each (&u->pending, l)
        socket_unix_visit_files(container_of(l, struct socket_unix, pending_link),
                                stack_closure(way_reach, more));
    u->visited = true;
}

static void unix_mark(void)
{
    bool more = true;
    for_each_unix(u)
    {
        u->on_the_way = 0;
        u->reached = u->visited = false;
    }
    for_each_unix(u) socket_unix_visit_files(u, stack_closure(way_count));
    for_each_unix(u) u->reached = u->socket.file && u->socket.file->references > u->on_the_way;
    while (more) { /* at most as often as there are sockets inside of each other */
        more = false;
        for_each_unix(u)
        {
            if (u->reached && !u->visited)
                reach_from(u, &more);
        }
    }
}

/* Takes the messages of one socket.  It stays until they are gone, whatever they close. */
static bool messages_take(struct socket_unix *u)
{
    if (!u->piece_count)
        return false;
    socket_hold(&u->socket);
    socket_unix_purge(u);
    socket_release(&u->socket);
    return true;
}

/* The same of what waits to be accepted. */
static bool pending_take(struct socket_unix *u)
{
    list_for_each (&u->pending, l)
        if (messages_take(container_of(l, struct socket_unix, pending_link)))
            return true;
    return false;
}

/* Of one that cannot be reached, if there is one.  Any socket may end by that, so the list is begun
   anew. */
static bool collect_one(void)
{
    for_each_unix(u)
    {
        if (!u->reached && u->on_the_way && (messages_take(u) || pending_take(u)))
            return true;
    }
    return false;
}

void socket_unix_collect(void)
{
    static bool collecting;
    if (collecting)
        return;
    collecting = true;
    unix_mark();
    while (collect_one()) {
    }
    collecting = false;
}
