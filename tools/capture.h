/* The file of --capture: see capture.c. */
#pragma once

#include "tools/say.h"

/* What QEMU's filter puts before each frame. */
enum capture_form { CAPTURE_FRAMES, CAPTURE_VIRTIO_HEADERS };

/* Begins the file; QEMU's filter is to write to the descriptor that is returned.  Ends the command
   when the file cannot be made.  One at a time, and before anything else is opened that a child
   should not have. */
int capture_start(const char *path, enum capture_form form);
/* Waits until the last frame is in the file.  After QEMU has ended; nothing when none was begun. */
void capture_end(void);
