/* A device with the wire behind it: see test/host/net_wire.h. */
#include "test/host/net_wire.h"

#include "kernel/net/net.h"
#include "test/host/net_machine.h"

#include <stdlib.h>
#include <string.h>

/* --- out -------------------------------------------------------------------------------------- */

static u16 sum_folded(u32 sum)
{
    while (sum >> 16)
        sum = (sum >> 16) + (sum & 0xffff);
    return (u16)sum;
}

/* What a device does: sums up from checksum_start on, the field included, and stores the inverse.
 */
static void checksum_finish(struct net_wire_frame *f, const struct net_frame_out *o)
{
    u32 sum = 0;
    must(o->checksum_start + o->checksum_offset + 2u <= f->bytes);
    must(o->pieces[0].bytes >= o->checksum_start + o->checksum_offset + 2u);
    for (u32 i = o->checksum_start; i < f->bytes; i += 2)
        sum += (u32)f->data[i] << 8 | (i + 1 < f->bytes ? f->data[i + 1] : 0);
    u16 inverse = (u16)~sum_folded(sum);
    f->data[o->checksum_start + o->checksum_offset] = (u8)(inverse >> 8);
    f->data[o->checksum_start + o->checksum_offset + 1] = (u8)inverse;
}

static void frame_keep(struct net_wire *w, const struct net_frame_out *o)
{
    struct net_wire_frame *f = &w->frames[w->sent % NET_WIRE_FRAMES];
    must(w->sent - w->seen < NET_WIRE_FRAMES);
    must(o->count && o->count <= NET_FRAME_PIECES);
    free(f->data);
    *f = (struct net_wire_frame){.data = malloc(o->bytes), .bytes = o->bytes};
    u32 at = 0;
    for (u32 i = 0; i < o->count; i++) {
        must(at + o->pieces[i].bytes <= o->bytes);
        memcpy(f->data + at, o->pieces[i].data, o->pieces[i].bytes);
        at += o->pieces[i].bytes;
    }
    must(at == o->bytes);
    f->checksum = o->checksum;
    f->segmenting = o->segmenting;
    f->segment_bytes = o->segment_bytes;
    f->header_bytes = o->header_bytes;
    if (o->checksum)
        checksum_finish(f, o);
    w->sent++;
}

closure_method(net_transmit, wire_transmit, struct net_wire, transmit, struct net_frame_out *o)
{
    struct net_wire *w = owner();
    if (w->held_count >= w->room)
        return false;
    frame_keep(w, o);
    w->device.statistics.frames_out++;
    if (w->hold)
        w->held[w->held_count++] = o;
    else
        apply(&o->sent);
    return true;
}

closure_method(net_flush, wire_flush, struct net_wire, flush)
{
    owner()->flushes++;
}

void net_wire_release(struct net_wire *w)
{
    u32 count = w->held_count;
    w->held_count = 0;
    for (u32 i = 0; i < count; i++)
        apply(&w->held[i]->sent);
    apply(w->device.room);
    net_machine_run();
}

const struct net_wire_frame *net_wire_take(struct net_wire *w)
{
    return w->seen < w->sent ? &w->frames[w->seen++ % NET_WIRE_FRAMES] : NULL;
}

void net_wire_clear(struct net_wire *w)
{
    w->seen = w->sent;
}

/* --- in --------------------------------------------------------------------------------------- */

closure_method(net_buffer_release, wire_release, struct net_wire, release, struct net_buffer *b)
{
    owner()->buffers_out--;
    free(b->data);
    free(b);
}

static struct net_buffer *buffer_of(struct net_wire *w, const u8 *bytes, u32 count)
{
    struct net_buffer *b = aligned_alloc(alignof(struct net_buffer), sizeof(*b));
    *b = (struct net_buffer){.data = malloc(count), .bytes = count, .release = &w->release};
    memcpy(b->data, bytes, count);
    w->buffers_out++;
    return b;
}

void net_wire_input(struct net_wire *w, struct net_wire_send send)
{
    struct net_frame_in f = {.bytes = send.bytes, .checksum_good = send.checksum_good};
    struct net_buffer **end = &f.buffers;
    u32 piece = send.piece ? max(send.piece, NET_ETHERNET_BYTES + 1u) : send.bytes;
    for (u32 at = 0; at < send.bytes; at += piece) {
        *end = buffer_of(w, (const u8 *)send.frame + at, min(piece, send.bytes - at));
        end = &(*end)->next;
    }
    w->device.statistics.frames_in++;
    apply(w->device.receive, &f);
    net_machine_run();
}

/* --- the device ------------------------------------------------------------------------------- */

void net_wire_attach(struct net_wire *w, u8 number, u32 offloads)
{
    *w = (struct net_wire){.room = NET_WIRE_FRAMES};
    w->device = (struct net_device){.name = "wire",
                                    .hardware_address = {2, 0, 0, 0, 0, number},
                                    .mtu = 1500,
                                    .offloads = offloads,
                                    .link_up = true,
                                    .transmit = &w->transmit,
                                    .flush = &w->flush};
    init_method(&w->transmit, wire_transmit);
    init_method(&w->flush, wire_flush);
    init_method(&w->release, wire_release);
    apply(net_device_attach(), &w->device);
    net_machine_run();
}

void net_wire_link(struct net_wire *w, bool up)
{
    w->device.link_up = up;
    apply(w->device.link_changed, up);
    net_machine_run();
}
