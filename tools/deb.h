/* --deb PACKAGE: a Debian package and what it depends on, unpacked into the tree of an image.
   Nothing is installed; downloads and unpacked packages are kept in the user's cache folder. */
#pragma once

#include "tools/options.h"
#include "tools/tree.h"

void debs_add(struct tree *t, const struct text_list *packages);

/* $XDG_CACHE_HOME/thunk or ~/.cache/thunk, made when it is not there; NULL when it cannot be. */
const char *cache_folder(void);
