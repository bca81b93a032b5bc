/* What the rest of unix/ knows of epoll. */
#pragma once

#include "unix/file.h"

/* The last reference of a file that was watched went: its items go. */
void epoll_file_closed(struct file *f);
