/* Writes the seeds for fs_writer_fuzz, which takes what fs_reader_fuzz takes. */
#include "test/fuzz/fs_reader_seeds.c"
