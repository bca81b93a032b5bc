/* A handler that counts, for the tests of sockets. */
#pragma once

static int signals;
__attribute__((unused)) static void on_signal(int number)
{
    (void)number;
    signals++;
}
