// Text that may be anything: UTF-8 looked at byte by byte, and made fit for a terminal.
#ifndef SSLTOP_METRICS_BASE_TEXT_H
#define SSLTOP_METRICS_BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>

// Bytes (1 to 4) of the UTF-8 character at s, of which n >= 1 bytes may be read, its code point
// into *code (NULL allowed); 0 when there is none: broken, overlong, a surrogate, beyond U+10FFFF,
// or cut off by n.
int text_utf8(const char *s, size_t n, uint32_t *code);

// Copy n bytes of `src`, or up to a NUL in them, into dst[size]; never cuts a character. size 0:
// nothing.
void text_copy(char *dst, size_t size, const char *src, size_t n);

// Write behind the text in text[size]; and one more item of a list there: `between` stands in front
// of it, but of the first. As much as there is room for; -1: that was not all.
int text_add(char *text, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int text_item(char *text, size_t size, const char *between, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

// Copy `src` into dst[size] replacing control characters (C0, DEL, C1) and broken UTF-8 with '?':
// before any text from a file or socket reaches a terminal. May work in place (dst == src).
void text_clean(char *dst, size_t size, const char *src);

// Copy `src` into dst[size] so that a shell takes it for one word: between single quotes unless
// that changes nothing.
void text_quote(char *dst, size_t size, const char *src);

// The whole of a small file, a NUL behind its n bytes, to be freed; NULL: it is not there, larger
// than `most`, no text (it has a NUL), or there is no memory.
char *text_read(const char *path, size_t most, size_t *n);

// The next line of the n bytes of text from *at on, without its newline, which the last one may
// lack: 1, and *at is behind it; 0: there is none. An empty line is one.
int text_line(const char *text, size_t n, size_t *at, const char **line, size_t *len);

// The next of the words in a list that ends with a NUL: where it begins, its bytes in *n; NULL:
// there is none. *rest moves behind it and its separator; blanks count as one however many.
const char *text_word(const char **rest, char separator, size_t *n);

#endif
