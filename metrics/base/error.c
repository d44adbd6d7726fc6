// Error sentences: formatted where the failure is known, carried up, printed once.
#include "metrics/base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { NO_NUMBER = -1 };

static void say(struct error *e, int number, const char *fmt, va_list ap)
{
    int n = e ? vsnprintf(e->text, sizeof e->text, fmt, ap) : -1;
    if (number != NO_NUMBER && n >= 0 && (size_t)n < sizeof e->text)
        snprintf(e->text + n, sizeof e->text - (size_t)n, ": %s", strerror(number));
}

int(error_set)(struct error *e, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(e, NO_NUMBER, fmt, ap);
    va_end(ap);
    return -1;
}

int(error_system)(struct error *e, const char *fmt, ...)
{
    int number = errno;
    va_list ap;
    va_start(ap, fmt);
    say(e, number, fmt, ap);
    va_end(ap);
    return -1;
}

int(error_number)(struct error *e, int number, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(e, number, fmt, ap);
    va_end(ap);
    return -1;
}

int(error_memory)(struct error *e, const char *fmt, ...)
{
    struct error what;
    va_list ap;
    va_start(ap, fmt);
    say(&what, NO_NUMBER, fmt, ap);
    va_end(ap);
    return error_set(e, "out of memory for %.*s", (int)sizeof what.text - 19, what.text);
}

int(error_pass)(struct error *e, const struct error *from)
{
    if (e)
        *e = *from;
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
