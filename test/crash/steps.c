/* The guest's half of the crash tests: does the steps of steps.h in a directory, up to a given one,
   and says "ack N" when step N is durable.  It goes on where an earlier run was cut off.

       steps DIRECTORY LAST */
#define _GNU_SOURCE
#include "steps.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void must(bool good, const char *what)
{
    if (good)
        return;
    perror(what);
    exit(1);
}

static void write_at(int fd, const void *from, size_t bytes, off_t at)
{
    must(pwrite(fd, from, bytes, at) == (ssize_t)bytes, "pwrite");
}

static void name_of(char *to, size_t size, uint64_t step)
{
    snprintf(to, size, "file-%llu", (unsigned long long)step);
}

static void file_make(const char *name, uint64_t step)
{
    uint8_t bytes[CURRENT];
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    must(fd >= 0, name);
    step_fill(bytes, step, CURRENT);
    write_at(fd, bytes, CURRENT, 0);
    must(fsync(fd) == 0, "fsync");
    close(fd);
}

static void step_do(uint64_t step, int directory, int log, int pages)
{
    uint8_t bytes[PAGE];
    char name[64];
    switch (step % 4) {
    case 0:
        step_fill(bytes, step, RECORD);
        write_at(log, bytes, RECORD, (off_t)(step / 4 - 1) * RECORD);
        must(fdatasync(log) == 0, "fdatasync");
        break;
    case 1:
        file_make("temporary", step);
        must(rename("temporary", "current") == 0, "rename");
        must(fsync(directory) == 0, "fsync of the directory");
        break;
    case 2:
        step_fill(bytes, step, PAGE);
        write_at(pages, bytes, PAGE, (off_t)(step / 4 % PAGES) * PAGE);
        must(fdatasync(pages) == 0, "fdatasync");
        break;
    case 3:
        if (step > FILES_KEPT) {
            name_of(name, sizeof(name), step - FILES_KEPT);
            must(unlink(name) == 0, name);
        }
        name_of(name, sizeof(name), step);
        file_make(name, step);
        break;
    }
}

/* What a step that was cut off may have left behind would be in the way of doing it again. */
static void step_clear(uint64_t step)
{
    char name[64];
    if (step % 4 != 3 || step <= FILES_KEPT)
        return;
    name_of(name, sizeof(name), step - FILES_KEPT);
    close(open(name, O_WRONLY | O_CREAT, 0644));
}

/* The newest step that left anything in a file's sectors, `bytes` of them written by each step. */
static uint64_t newest_in(int fd, uint64_t bytes)
{
    struct step_sector s;
    uint64_t newest = 0;
    for (off_t at = 0; pread(fd, &s, SECTOR, at) == SECTOR; at += SECTOR) {
        uint64_t step = step_of(&s, (uint64_t)at % bytes / SECTOR);
        if (step > newest)
            newest = step;
    }
    return newest;
}

/* The newest step that left anything at all.  It may have been cut off, so it is done again; what
   was acknowledged is not newer, since steps follow one another. */
static uint64_t newest_step(int log, int pages)
{
    uint64_t newest = newest_in(log, RECORD), other = newest_in(pages, PAGE);
    newest = other > newest ? other : newest;
    int fd = open("current", O_RDONLY);
    if (fd >= 0) {
        other = newest_in(fd, CURRENT);
        newest = other > newest ? other : newest;
        close(fd);
    }
    DIR *names = opendir(".");
    must(names != NULL, "opendir");
    for (struct dirent *e; (e = readdir(names));) {
        unsigned long long step = 0;
        if (sscanf(e->d_name, "file-%llu", &step) == 1 && step > newest)
            newest = step;
    }
    closedir(names);
    return newest;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    must(chdir(argv[1]) == 0, argv[1]);
    int directory = open(".", O_RDONLY | O_DIRECTORY);
    int log = open("log", O_RDWR | O_CREAT, 0644), pages = open("pages", O_RDWR | O_CREAT, 0644);
    must(directory >= 0 && log >= 0 && pages >= 0, "open");
    must(fsync(log) == 0 && fsync(pages) == 0, "fsync");
    uint64_t step = newest_step(log, pages), last = strtoull(argv[2], NULL, 10);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (step) {
        printf("ack %llu\n", (unsigned long long)step - 1);
        step_clear(step);
    } else {
        step = 1;
    }
    for (; step <= last; step++) {
        step_do(step, directory, log, pages);
        printf("ack %llu\n", (unsigned long long)step);
    }
    return 0;
}
