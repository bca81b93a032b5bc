/* `thunk doctor`: what this machine can do for thunk, what is missing and how to get it. */
#pragma once

int doctor_command(int count, char **words);
