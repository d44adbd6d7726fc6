// Private to the readers of lines: JSON (RFC 8259) as slices of the text that it stands in, without
// a tree and without memory. A slice that was passed over is well-formed.
#ifndef SSLTOP_METRICS_LOG_JSON_SCAN_H
#define SSLTOP_METRICS_LOG_JSON_SCAN_H

#include <stddef.h>
#include <stdint.h>

struct json_slice { // a value as it stands there: "a" with its quotes, {...}, 12, null
    const char *p;
    size_t n;
};
struct json_scan {
    const char *p, *end;
    int depth; // of what is open around
};

// The next member of the object, or item of the array (`key` NULL), at whose opening `s` stood at
// first: 1, 0 = it is closed, -1 = this is no JSON, and `s` stands where that shows.
int json_scan_next(struct json_scan *s, int first, struct json_slice *key, struct json_slice *v);
void json_scan_blanks(struct json_scan *s);

// What a slice says; of another kind: NaN, `missing`, or nothing. Integers may have a fraction of
// 0.
double json_scan_number(struct json_slice v);
int64_t json_scan_integer(struct json_slice v, int64_t lo, int64_t hi, int64_t missing);
// The n bytes of a text: within the slice, or, where it has escapes, in malloc'd memory (*own, to
// be freed). NULL: it is none (*n 0), or without memory (*n 1).
const char *json_scan_text(struct json_slice v, size_t *n, char **own);
int json_scan_is(struct json_slice v, const char *word); // the text `word`, written plainly

#endif
