// One UTF-8 decoder for everything that must not trust its input: records on their way into a line,
// and lines on their way to a terminal.
#include "metrics/base/text.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int text_utf8(const char *s, size_t n, uint32_t *code)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char c = (unsigned char)s[0];
    int len = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : c >> 3 == 30 ? 4 : 0;
    if (!len || (size_t)len > n)
        return 0;
    uint32_t u = len == 1 ? c : c & (0x7fu >> len);
    for (int i = 1; i < len; i++) {
        unsigned char next = (unsigned char)s[i];
        if (next >> 6 != 2)
            return 0;
        u = u << 6 | (next & 0x3f);
    }
    if (u < least[len] || u > 0x10ffff || (u >= 0xd800 && u <= 0xdfff))
        return 0;
    if (code)
        *code = u;
    return len;
}

void text_copy(char *dst, size_t size, const char *src, size_t n)
{
    if (!size)
        return;
    size_t out = 0;
    n = strnlen(src, n);
    while (out < n) {
        int len = text_utf8(src + out, n - out, NULL);
        size_t step = len ? (size_t)len : 1;
        if (out + step >= size)
            break;
        memmove(dst + out, src + out, step);
        out += step;
    }
    dst[out] = '\0';
}

static int add(char *text, size_t size, const char *fmt, va_list ap)
{
    size_t at = strlen(text);
    int n = vsnprintf(text + at, size - at, fmt, ap);
    return n < 0 || (size_t)n >= size - at ? -1 : 0;
}

int text_add(char *text, size_t size, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = add(text, size, fmt, ap);
    va_end(ap);
    return rc;
}

int text_item(char *text, size_t size, const char *between, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = *text ? text_add(text, size, "%s", between) : 0;
    rc |= add(text, size, fmt, ap);
    va_end(ap);
    return rc;
}

void text_clean(char *dst, size_t size, const char *src)
{
    if (!size)
        return;
    size_t out = 0, n = strlen(src);
    while (n) {
        uint32_t code = 0;
        int len = text_utf8(src, n, &code);
        int plain = len && code >= 0x20 && !(code >= 0x7f && code <= 0x9f);
        size_t step = len ? (size_t)len : 1, need = plain ? step : 1;
        if (out + need >= size)
            break;
        if (plain)
            memmove(dst + out, src, step);
        else
            dst[out] = '?';
        out += need;
        src += step;
        n -= step;
    }
    dst[out] = '\0';
}

void text_quote(char *dst, size_t size, const char *src)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "%+,-./:=@_";
    if (*src && !src[strspn(src, plain)]) {
        text_copy(dst, size, src, strlen(src));
        return;
    }
    size_t n = (size_t)snprintf(dst, size, "'");
    for (; *src && n < size; src++)
        n += (size_t)(*src == '\'' ? snprintf(dst + n, size - n, "'\\''")
                                   : snprintf(dst + n, size - n, "%c", *src));
    if (n < size)
        snprintf(dst + n, size - n, "'");
}

int text_line(const char *text, size_t n, size_t *at, const char **line, size_t *len)
{
    if (*at >= n)
        return 0;
    *line = text + *at;
    const char *newline = memchr(*line, '\n', n - *at);
    *len = newline ? (size_t)(newline - *line) : n - *at;
    *at += *len + (newline != NULL);
    return 1;
}

const char *text_word(const char **rest, char separator, size_t *n)
{
    const char *word = *rest;
    if (separator == ' ')
        word += strspn(word, " ");
    if (!*word)
        return NULL;
    *n = (size_t)(strchrnul(word, separator) - word);
    *rest = word + *n + (word[*n] != '\0');
    return word;
}

char *text_read(const char *path, size_t most, size_t *n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // not to wait at a pipe
    FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (!f && fd >= 0)
        close(fd);
    char *text = f ? malloc(most + 1) : NULL;
    *n = text ? fread(text, 1, most + 1, f) : 0;
    if (text && (ferror(f) || *n > most || memchr(text, '\0', *n))) {
        free(text);
        text = NULL;
    }
    if (text)
        text[*n] = '\0';
    if (f)
        fclose(f);
    return text;
}
