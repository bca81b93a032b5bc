/* Running other programs: see command.h.  Output goes through unlinked temporary files, so neither
   stream can fill a pipe while the other is read. */
#include "tools/command.h"
#include "tools/say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char last_error[512];

static int temporary_file(void)
{
    FILE *f = tmpfile();
    if (!f)
        die(EXIT_FAILED, "no temporary file can be made: %s", strerror(errno));
    int fd = fcntl(fileno(f), F_DUPFD_CLOEXEC, 3);
    fclose(f);
    return fd;
}

static char *file_text(int fd)
{
    off_t bytes = lseek(fd, 0, SEEK_END);
    char *s = must_allocate((size_t)bytes + 1);
    ssize_t n = pread(fd, s, (size_t)bytes, 0);
    s[n > 0 ? n : 0] = 0;
    close(fd);
    return s;
}

static void last_error_keep(char *text)
{
    u64 length = strlen(text);
    while (length && text[length - 1] == '\n')
        text[--length] = 0;
    char *line = strrchr(text, '\n');
    snprintf(last_error, sizeof(last_error), "%s", line ? line + 1 : text);
    free(text);
}

static __attribute__((noreturn)) void child_become(const char *const *argv, int out, int err)
{
    int nothing = open("/dev/null", O_RDONLY);
    dup2(nothing, 0);
    dup2(out, 1);
    dup2(err, 2);
    setenv("LC_ALL", "C", 1);
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(EXIT_MISSING);
}

char *command_output(const char *const *argv, int *exit_status)
{
    int out = temporary_file(), err = temporary_file();
    pid_t child = fork();
    if (child < 0)
        die(EXIT_FAILED, "%s: cannot be started: %s", argv[0], strerror(errno));
    if (child == 0)
        child_become(argv, out, err);
    int state = 0;
    while (waitpid(child, &state, 0) < 0 && errno == EINTR)
        ;
    *exit_status = WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
    last_error_keep(file_text(err));
    return file_text(out);
}

const char *command_last_error(void)
{
    return *last_error ? last_error : "it did not say why";
}

bool command_exists(const char *name)
{
    const char *path = getenv("PATH");
    for (path = path ? path : "/usr/bin:/bin"; *path;) {
        int length = (int)strcspn(path, ":");
        char *file = text_of("%.*s/%s", length, path, name);
        bool there = access(file, X_OK) == 0;
        free(file);
        if (there)
            return true;
        path += length + (path[length] == ':');
    }
    return false;
}
