// One pass over the bytes; numbers are converted only when they are asked for.
#include "metrics/log/json_scan.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/text.h"

enum { DEPTH = 2048, PLAIN_DIGITS = 18, PLAIN_REAL = 300 };

void json_scan_blanks(struct json_scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
        s->p++;
}

static int is_next(struct json_scan *s, char c)
{
    if (s->p == s->end || *s->p != c)
        return 0;
    s->p++;
    return 1;
}

// The value of four hexadecimal digits; -1: there are none.
static int hex(const char *p, size_t n)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    int v = 0;
    for (int i = 0; i < 4; i++) {
        const char *digit = n > (size_t)i && p[i] ? strchr(digits, p[i]) : NULL;
        if (!digit)
            return -1;
        int d = (int)(digit - digits);
        v = 16 * v + (d < 16 ? d : d - 6);
    }
    return v;
}

// The escape at p, of which n bytes may be read: its length, and the character; 0: it is none.
static size_t escape(const char *p, size_t n, uint32_t *code)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *at = n > 1 && p[1] ? strchr(from, p[1]) : NULL;
    if (at) {
        *code = (unsigned char)to[at - from];
        return 2;
    }
    int high = n > 1 && p[1] == 'u' ? hex(p + 2, n - 2) : -1;
    if (high < 0 || (high >= 0xdc00 && high < 0xe000))
        return 0;
    *code = (uint32_t)high;
    if (high < 0xd800 || high >= 0xe000)
        return 6;
    int low = n > 7 && p[6] == '\\' && p[7] == 'u' ? hex(p + 8, n - 8) : -1;
    *code = 0x10000 + (((uint32_t)high & 0x3ff) << 10) + ((uint32_t)low & 0x3ff);
    return low >= 0xdc00 && low < 0xe000 ? 12 : 0;
}

static int pass_text(struct json_scan *s)
{
    if (!is_next(s, '"'))
        return 0;
    while (s->p < s->end && *s->p != '"') {
        unsigned char c = (unsigned char)*s->p;
        uint32_t code;
        size_t left = (size_t)(s->end - s->p);
        size_t n = c == '\\'  ? escape(s->p, left, &code)
                   : c < 0x20 ? 0
                   : c < 0x80 ? 1
                              : (size_t)text_utf8(s->p, left, NULL);
        if (!n)
            return 0;
        s->p += n;
    }
    return is_next(s, '"');
}

static int digits(struct json_scan *s)
{
    const char *from = s->p;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
        s->p++;
    return (int)(s->p - from);
}

// Something that is no part of a number must follow it. Numbers have a dot, whatever the user's
// locale.
static double convert(const char *p)
{
    if (strcmp(nl_langinfo(RADIXCHAR), ".") == 0)
        return strtod(p, NULL);
    locale_t c = newlocale(LC_ALL_MASK, "C", NULL);
    double v = c ? strtod_l(p, NULL, c) : NAN;
    if (c)
        freelocale(c);
    return v;
}

static int pass_number(struct json_scan *s)
{
    const char *from = s->p;
    int is_real = 0, has_power = 0;
    is_next(s, '-');
    int zero = s->p < s->end && *s->p == '0', n = digits(s);
    if (!n || (zero && n > 1))
        return 0;
    if (is_next(s, '.') && (is_real = 1, !digits(s)))
        return 0;
    if (is_next(s, 'e') || is_next(s, 'E')) {
        is_real = has_power = 1;
        if (!is_next(s, '-'))
            is_next(s, '+');
        if (!digits(s))
            return 0;
    }
    if (s->p == s->end)
        return 0; // a record is an object: something must close it
    errno = 0;
    if (!is_real && n > PLAIN_DIGITS)
        return strtoll(from, NULL, 10), errno == 0;
    return (!has_power && n < PLAIN_REAL) || isfinite(convert(from));
}

static int pass_word(struct json_scan *s, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
        return 0;
    s->p += n;
    return 1;
}

// Over one value of any kind.
static int pass(struct json_scan *s)
{
    struct json_slice key, v;
    int rc, first = 1;
    switch (s->p < s->end ? *s->p : 0) {
    case '"':
        return pass_text(s);
    case '{':
    case '[': {
        int is_object = *s->p == '{';
        for (; (rc = json_scan_next(s, first, is_object ? &key : NULL, &v)) == 1; first = 0)
            ;
        return rc == 0;
    }
    case 't':
        return pass_word(s, "true");
    case 'f':
        return pass_word(s, "false");
    case 'n':
        return pass_word(s, "null");
    default:
        return pass_number(s);
    }
}

int json_scan_next(struct json_scan *s, int first, struct json_slice *key, struct json_slice *v)
{
    if (first && (++s->depth > DEPTH || !is_next(s, key ? '{' : '[')))
        return -1;
    json_scan_blanks(s);
    if (is_next(s, key ? '}' : ']')) {
        s->depth--;
        return 0;
    }
    if (!first && !is_next(s, ','))
        return -1;
    json_scan_blanks(s);
    if (key) {
        key->p = s->p;
        if (!pass_text(s))
            return -1;
        key->n = (size_t)(s->p - key->p);
        json_scan_blanks(s);
        if (!is_next(s, ':'))
            return -1;
        json_scan_blanks(s);
    }
    v->p = s->p;
    if (!pass(s))
        return -1;
    v->n = (size_t)(s->p - v->p);
    return 1;
}

// --- what a slice says ---

static int is_number(struct json_slice v)
{
    return v.n && (*v.p == '-' || (*v.p >= '0' && *v.p <= '9'));
}

static int is_real(struct json_slice v)
{
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] == '.' || v.p[i] == 'e' || v.p[i] == 'E')
            return 1;
    return 0;
}

double json_scan_number(struct json_slice v)
{
    if (!is_number(v))
        return NAN;
    return is_real(v) ? convert(v.p) : (double)strtoll(v.p, NULL, 10);
}

int64_t json_scan_integer(struct json_slice v, int64_t lo, int64_t hi, int64_t missing)
{
    if (!is_number(v))
        return missing;
    if (is_real(v)) {
        double x = convert(v.p);
        int is = x == floor(x) && fabs(x) < 9e15 && x >= (double)lo && x <= (double)hi;
        return is ? (int64_t)x : missing;
    }
    int64_t x = strtoll(v.p, NULL, 10);
    return x < lo || x > hi ? missing : x;
}

static size_t put_utf8(char *out, uint32_t c)
{
    int n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (int i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(lead[n] | c);
    return (size_t)n;
}

const char *json_scan_text(struct json_slice v, size_t *n, char **own)
{
    *own = NULL;
    *n = 0;
    if (!v.n || *v.p != '"')
        return NULL;
    const char *p = v.p + 1, *end = v.p + v.n - 1;
    *n = (size_t)(end - p);
    if (!memchr(p, '\\', *n))
        return p;
    *own = malloc(*n);
    size_t to = 0;
    for (*n = 1; *own && p < end;) {
        uint32_t code;
        size_t len = *p == '\\' ? escape(p, (size_t)(end - p), &code) : 0;
        if (len)
            to += put_utf8(*own + to, code);
        else
            (*own)[to++] = *p;
        p += len ? len : 1;
    }
    *n = *own ? to : 1;
    return *own;
}

int json_scan_is(struct json_slice v, const char *word)
{
    size_t n = strlen(word);
    return v.n == n + 2 && *v.p == '"' && memcmp(v.p + 1, word, n) == 0;
}
