// Numbers for people, all by value: a screen line is put together from a few of these.
#include "tui/model/format.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define DASH "\u2013"

struct text format_count(int64_t n)
{
    struct text t = {DASH};
    if (n < 0)
        return t;
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%lld", (long long)n);
    int out = 0;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            t.s[out++] = ' ';
        t.s[out++] = digits[i];
    }
    t.s[out] = 0;
    return t;
}

struct text format_duration(double seconds)
{
    struct text t = {DASH};
    if (!(seconds >= 0) || seconds > 1e10)
        return t;
    int64_t s = (int64_t)(seconds + 0.5);
    if (s >= 2 * 86400)
        snprintf(t.s, sizeof t.s, "%lld d %02d h", (long long)(s / 86400), (int)(s / 3600 % 24));
    else if (s >= 3600)
        snprintf(t.s, sizeof t.s, "%d:%02d:%02d", (int)(s / 3600), (int)(s / 60 % 60),
                 (int)(s % 60));
    else
        snprintf(t.s, sizeof t.s, "%d:%02d", (int)(s / 60), (int)(s % 60));
    return t;
}

struct text format_bytes(double bytes)
{
    struct text t = {DASH};
    if (!(bytes >= 0))
        return t;
    if (bytes >= 1e8)
        snprintf(t.s, sizeof t.s, "%.*f GB", bytes < 1e11, bytes / 1e9);
    else
        snprintf(t.s, sizeof t.s, "%.0f MB", bytes / 1e6);
    return t;
}

struct text format_rate(double v)
{
    struct text t = {DASH};
    if (!(v >= 0) || v > 1e15)
        return t;
    if (v >= 99.5)
        return format_count((int64_t)(v + 0.5));
    snprintf(t.s, sizeof t.s, "%.*f", v >= 9.95 ? 0 : v >= 0.995 ? 1 : 2, v);
    return t;
}

// "-" of printf is a hyphen; numbers get a minus sign.
static struct text with_minus(const char *s)
{
    struct text t;
    snprintf(t.s, sizeof t.s, "%s%s", *s == '-' ? "\u2212" : "", *s == '-' ? s + 1 : s);
    return t;
}

struct text format_value(double v, int digits)
{
    if (isnan(v))
        return (struct text){DASH};
    if (isinf(v))
        return with_minus(v < 0 ? "-inf" : "inf");
    char s[40];
    double a = fabs(v);
    if (a != 0 && (a < 1e-3 || a >= 1e6)) {
        snprintf(s, sizeof s, "%.*e", digits > 2 ? digits - 2 : 0, v);
        char *exp = strchr(s, 'e'), *power = exp ? exp + 1 : NULL; // 1.2e-05 -> 1.2e-5
        if (power) {
            char *to = power + (*power == '-');
            const char *from = power + 1;
            while (*from == '0' && from[1])
                from++;
            memmove(to, from, strlen(from) + 1);
        }
        return with_minus(s);
    }
    int before = a >= 1 ? (int)floor(log10(a)) + 1 : 1;
    snprintf(s, sizeof s, "%.*f", digits > before ? digits - before : 0, v);
    return with_minus(s);
}

struct text format_fixed(double v, int decimals)
{
    if (!isfinite(v) || fabs(v) > 1e12)
        return format_value(v, 4);
    char s[40];
    snprintf(s, sizeof s, "%.*f", decimals, v);
    return with_minus(s);
}
