// What went wrong, as one sentence for a person. Libraries fill it and return -1; only main prints
// it.
#ifndef SSLTOP_METRICS_BASE_ERROR_H
#define SSLTOP_METRICS_BASE_ERROR_H

struct error {
    char text[512]; // a sentence without a newline; "" when nothing was set
};

// Format a sentence into `e` (NULL allowed: the sentence is dropped). Always returns -1, so that a
// failing function can `return error_set(e, "...")`.
int error_set(struct error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// The same, and behind it why the system refused: ": " and what errno, or `number`, means.
int error_system(struct error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int error_number(struct error *e, int number, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

// "out of memory for " and what it was for: "a record of %d numbers".
int error_memory(struct error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// Hand on the sentence in `from`, NULL allowed for `e`. Always returns -1.
int error_pass(struct error *e, const struct error *from);

// Put "context: " before the sentence already in `e`. Always returns -1.
int error_prefix(struct error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#ifdef __clang_analyzer__ // it looks into one file at a time: tell it what they always return
#define error_set(...)    (error_set(__VA_ARGS__), -1)
#define error_system(...) (error_system(__VA_ARGS__), -1)
#define error_number(...) (error_number(__VA_ARGS__), -1)
#define error_memory(...) (error_memory(__VA_ARGS__), -1)
#define error_pass(...)   (error_pass(__VA_ARGS__), -1)
#define error_prefix(...) (error_prefix(__VA_ARGS__), -1)
#endif

#endif
