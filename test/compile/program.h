/* What the programs of this folder have in common: a few closures of each kind. */
#pragma once

#include "runtime/closure.h"
#include "runtime/merge.h"

closure_type(number_handler, void, u64 number);
closure_type(other_handler, void, u64 number); /* the same arguments, another type */

struct operation {
    struct status_handler landed;
    struct status_handler failed;
    struct inner {
        struct thunk again;
    } inner;
    u64 count;
};

closure_function(number_handler, sum_number, (u64 * total), u64 number)
{
    *bound(total) += number;
}

closure_function(status_handler, finish, (struct operation * o), status s)
{
    struct operation *o = bound(o);
    closure_finish();
    o->count += !is_ok(s);
}

closure_function(thunk, run, ())
{
    closure_finish();
}

closure_method(status_handler, operation_landed, struct operation, landed, status s)
{
    owner()->count += !is_ok(s);
}

closure_method(thunk, operation_again, struct operation, inner.again)
{
    owner()->count++;
}

void take_status_handler(status_handler done);
void take_thunk(thunk t);
void right(heap h, struct operation *o);
void wrong(heap h, struct operation *o);
