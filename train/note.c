// Lines of trainer.log. Each is one write, so that threads do not mix theirs.
#include "train/note.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

void note(int fd, int echo, const char *fmt, ...)
{
    char line[1024];
    struct tm tm;
    time_t now = time(NULL);
    va_list ap;

    gmtime_r(&now, &tm);
    size_t at = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%SZ ", &tm);
    size_t text = at;
    va_start(ap, fmt);
    int n = vsnprintf(line + at, sizeof line - at - 1, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    at += (size_t)n < sizeof line - at - 1 ? (size_t)n : sizeof line - at - 2;
    line[at++] = '\n';
    if (fd >= 0 && write(fd, line, at) < 0)
        fd = -1; // the disk is full: there is nowhere left to tell it
    if (echo && write(STDERR_FILENO, line + text, at - text) < 0)
        echo = 0;
}
