/* `thunk check` and `thunk dump`. */
#pragma once

/* The words after the verb; the result is the exit status. */
int check_command(int count, char **words);
int dump_command(int count, char **words);
