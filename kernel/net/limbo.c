/* Memory that was sent, and that a device may be reading: kernel/net/limbo.h.  Called by the output
   and by the endpoints of TCP. */
#include "kernel/net/limbo.h"

#include "runtime/assert.h"

static u8 era;                            /* 0 or 1: of the frames that begin now */
static u64 out[2];                        /* frames of each era that a device has */
static struct net_limbo_item *waiting[2]; /* came while that era was the present one */

u8 net_limbo_frame_begin(void)
{
    out[era]++;
    return era;
}

static void release_all(struct net_limbo_item *item)
{
    while (item) {
        struct net_limbo_item *next = item->next;
        item->release(item);
        item = next;
    }
}

/* When the era before has no frame out, what came in it is free, and the present one can end: new
   frames are of the other era. */
static void era_turn(void)
{
    for (u32 turns = 0; turns < 2 && !out[!era]; turns++) {
        struct net_limbo_item *free = waiting[!era];
        waiting[!era] = NULL;
        if (waiting[era])
            era = !era;
        release_all(free);
    }
}

void net_limbo_frame_end(u8 of_era)
{
    assert(of_era < 2 && out[of_era] > 0);
    if (--out[of_era] == 0 && (waiting[0] || waiting[1]))
        era_turn();
}

void net_limbo_add(struct net_limbo_item *item)
{
    if (!out[0] && !out[1]) {
        item->release(item);
        return;
    }
    item->next = waiting[era];
    waiting[era] = item;
    era_turn();
}
