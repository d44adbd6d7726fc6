// Lines of trainer.log. Each is one write, so that threads do not mix theirs.
#include "train/store/trainer_log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "metrics/base/clock.h"
#include "metrics/base/output.h"
#include "metrics/base/text.h"

void trainer_log(int fd, int echo, const char *fmt, ...)
{
    char line[1024];
    va_list ap;

    clock_utc(line);
    size_t at = strlen(line);
    line[at++] = ' ';
    size_t text = at;
    va_start(ap, fmt);
    int n = vsnprintf(line + at, sizeof line - at - 1, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    text_clean(line + at, sizeof line - at - 1, line + at); // of files and libraries
    n = (int)strlen(line + at);
    at += (size_t)n < sizeof line - at - 1 ? (size_t)n : sizeof line - at - 2;
    line[at++] = '\n';
    // The disk may be full or the reader gone: there is nowhere left to tell it.
    ssize_t told = fd >= 0 ? write(fd, line, at) : 0;
    if (echo)
        told = output_write(STDERR_FILENO, line + text, at - text);
    (void)told;
}
