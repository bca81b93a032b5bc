/* `thunk cp HOST IMAGE:/PATH`: into an image. */
#pragma once

/* Copies the file or folder `host` to `path` in the image, or into it when it is a folder there.
   Ends the command with one line when that cannot be; what was copied until then may stay. */
void put_into_image(const char *host, const char *image, const char *path);
