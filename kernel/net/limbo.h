/* Inside kernel/net/ only: memory that was sent and acknowledged, and that a device may be reading
   all the same.

   A frame is cut from memory of an endpoint without a copy.  An acknowledgement says that the
   frame was read once; but when it had been sent a second time, the second copy may still wait in
   the device's ring, and what the memory then holds would go out in its stead.  So such memory
   waits until the frames that were with a device when it came here have come back.

   The output counts each frame that points at memory not its own: net_limbo_frame_begin before it
   is the device's, net_limbo_frame_end, with the number that the former gave, when it was `sent`.
   Frames belong to one of two eras; the memory that came in one era is free when that era and the
   one before have no frame out. */
#pragma once

#include "runtime/types.h"

struct net_limbo_item {
    struct net_limbo_item *next;
    void (*release)(struct net_limbo_item *item);
};

u8 net_limbo_frame_begin(void);
void net_limbo_frame_end(u8 era);
/* Calls item->release when no frame that is out now is out any more: at once when there is none. */
void net_limbo_add(struct net_limbo_item *item);
