/* `thunk run` and `thunk build`, and whether KVM runs a guest here. */
#pragma once

#include "tools/options.h"

/* Return the exit status. */
int run_command(int count, char **words);
int build_command(int count, char **words);

/* Boots a tiny guest under KVM, with a second's limit: looking for /dev/kvm is not enough, since
   some of them run no user mode.  The answer is kept until this machine is booted again; NULL when
   it works, else why not, in words. */
const char *kvm_refusal(void);
