// Error sentences: formatted where the failure is known, carried up, printed once.
#include "metrics/base/error.h"

#include <stdio.h>
#include <string.h>

int(error_set)(struct error *e, const char *fmt, ...)
{
    if (!e)
        return -1;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    return -1;
}

int(error_prefix)(struct error *e, const char *fmt, ...)
{
    if (!e)
        return -1;
    struct error old = *e;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof e->text)
        return -1;
    size_t room = sizeof e->text - (size_t)n;
    snprintf(e->text + n, room, ": %.*s", (int)sizeof old.text - n - 3, old.text);
    return -1;
}
