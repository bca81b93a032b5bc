/* Mapping the vDSO; see unix/vdso.h. */
#include "unix/vdso.h"

#include "runtime/errno.h"
#include "runtime/memory.h"

/* The shared object, out of unix/vdso_image.asm. */
extern const u8 vdso_image[], vdso_image_end[];

enum { OFFSET_DATA = 0, OFFSET_CODE = PAGE_BYTES, OFFSET_END = 2 * PAGE_BYTES };

s64 vdso_map(struct user_memory *m)
{
    u64 at;
    if (!region_place(m, OFFSET_END, PAGE_BYTES, &at))
        return -ENOMEM;
    struct region data = {.flags = REGION_READ | REGION_VDSO,
                          .offset = OFFSET_DATA,
                          .zero_from = ~0ull,
                          .name = "[vvar]"};
    struct region code = {.flags = REGION_READ | REGION_EXECUTE | REGION_VDSO,
                          .offset = OFFSET_CODE,
                          .zero_from = ~0ull,
                          .name = "[vdso]"};
    s64 result = region_add(m, range_of(at, at + OFFSET_CODE), &data);
    if (result == 0)
        result = region_add(m, range_of(at + OFFSET_CODE, at + OFFSET_END), &code);
    if (result == 0)
        m->vdso = at + OFFSET_CODE;
    return result;
}

bool vdso_page(void *page, u64 offset)
{
    u64 bytes = (u64)(vdso_image_end - vdso_image);
    switch (offset) {
    case OFFSET_DATA:
        *(struct vdso_data *)page = (struct vdso_data){.scale = clock_scale()};
        return true;
    case OFFSET_CODE:
        assert(bytes <= PAGE_BYTES);
        memcpy(page, vdso_image, bytes);
        return true;
    }
    return false;
}
