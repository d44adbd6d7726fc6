// The part of Criterion's interface that our tests use, for where Criterion is not: its sandbox
// wants an arena at a fixed address, which ThreadSanitizer refuses, and its libraries need a dozen
// others. This folder is put before the system's; runner.c beside it runs the tests.
#ifndef SSLTOP_TESTS_ALONE_CRITERION_CRITERION_H
#define SSLTOP_TESTS_ALONE_CRITERION_CRITERION_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct alone_test {
    const char *suite, *name;
    void (*run)(void);
    struct alone_test *next;
};
struct alone_suite {
    const char *name;
    double timeout; // not kept
    void (*init)(void), (*fini)(void);
    struct alone_suite *next;
};
void alone_add_test(struct alone_test *t);
void alone_add_suite(struct alone_suite *s);

// Report a failure; `fatal` ends the test. `fmt` may be "".
void alone_fail(int fatal, const char *file, int line, const char *what, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
void alone_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

// Limits of time are not kept here.
#define Test(suite_, name_, ...)                                                                   \
    static void suite_##_##name_##_run(void);                                                      \
    __attribute__((constructor)) static void suite_##_##name_##_add(void)                          \
    {                                                                                              \
        static struct alone_test t = {#suite_, #name_, suite_##_##name_##_run, NULL};              \
        alone_add_test(&t);                                                                        \
    }                                                                                              \
    static void suite_##_##name_##_run(void)

#define TestSuite(suite_, ...)                                                                     \
    __attribute__((constructor)) static void suite_##_suite_add(void)                              \
    {                                                                                              \
        static struct alone_suite s = {.name = #suite_, __VA_ARGS__};                              \
        alone_add_suite(&s);                                                                       \
    }                                                                                              \
    struct alone_suite

// The message is optional: a leading "" makes it a format in any case.
#define ALONE_CHECK(fatal, cond, ...)                                                              \
    do {                                                                                           \
        if (!(cond))                                                                               \
            alone_fail(fatal, __FILE__, __LINE__, #cond, "" __VA_ARGS__);                          \
    } while (0)

#define cr_assert(cond, ...)         ALONE_CHECK(1, cond, __VA_ARGS__)
#define cr_assert_eq(a, b, ...)      ALONE_CHECK(1, (a) == (b), __VA_ARGS__)
#define cr_assert_neq(a, b, ...)     ALONE_CHECK(1, (a) != (b), __VA_ARGS__)
#define cr_assert_lt(a, b, ...)      ALONE_CHECK(1, (a) < (b), __VA_ARGS__)
#define cr_assert_leq(a, b, ...)     ALONE_CHECK(1, (a) <= (b), __VA_ARGS__)
#define cr_assert_gt(a, b, ...)      ALONE_CHECK(1, (a) > (b), __VA_ARGS__)
#define cr_assert_geq(a, b, ...)     ALONE_CHECK(1, (a) >= (b), __VA_ARGS__)
#define cr_assert_null(a, ...)       ALONE_CHECK(1, (a) == NULL, __VA_ARGS__)
#define cr_assert_not_null(a, ...)   ALONE_CHECK(1, (a) != NULL, __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...)  ALONE_CHECK(1, strcmp(a, b) == 0, __VA_ARGS__)
#define cr_assert_str_empty(a, ...)  ALONE_CHECK(1, *(a) == '\0', __VA_ARGS__)
#define cr_assert_str_neq(a, b, ...) ALONE_CHECK(1, strcmp(a, b) != 0, __VA_ARGS__)
#define cr_assert_float_eq(a, b, e, ...)                                                           \
    ALONE_CHECK(1, fabs((double)((a) - (b))) <= (e), __VA_ARGS__)
#define cr_expect(cond, ...)           ALONE_CHECK(0, cond, __VA_ARGS__)
#define cr_expect_eq(a, b, ...)        ALONE_CHECK(0, (a) == (b), __VA_ARGS__)
#define cr_expect_neq(a, b, ...)       ALONE_CHECK(0, (a) != (b), __VA_ARGS__)
#define cr_expect_lt(a, b, ...)        ALONE_CHECK(0, (a) < (b), __VA_ARGS__)
#define cr_expect_leq(a, b, ...)       ALONE_CHECK(0, (a) <= (b), __VA_ARGS__)
#define cr_expect_gt(a, b, ...)        ALONE_CHECK(0, (a) > (b), __VA_ARGS__)
#define cr_expect_geq(a, b, ...)       ALONE_CHECK(0, (a) >= (b), __VA_ARGS__)
#define cr_expect_null(a, ...)         ALONE_CHECK(0, (a) == NULL, __VA_ARGS__)
#define cr_expect_not_null(a, ...)     ALONE_CHECK(0, (a) != NULL, __VA_ARGS__)
#define cr_expect_str_eq(a, b, ...)    ALONE_CHECK(0, strcmp(a, b) == 0, __VA_ARGS__)
#define cr_expect_arr_eq(a, b, n, ...) ALONE_CHECK(0, memcmp(a, b, n) == 0, __VA_ARGS__)
#define cr_assert_arr_eq(a, b, n, ...) ALONE_CHECK(1, memcmp(a, b, n) == 0, __VA_ARGS__)
#define cr_expect_str_neq(a, b, ...)   ALONE_CHECK(0, strcmp(a, b) != 0, __VA_ARGS__)
#define cr_expect_str_empty(a, ...)    ALONE_CHECK(0, *(a) == '\0', __VA_ARGS__)
#define cr_expect_float_eq(a, b, e, ...)                                                           \
    ALONE_CHECK(0, fabs((double)((a) - (b))) <= (e), __VA_ARGS__)
#define cr_assert_fail(...) alone_fail(1, __FILE__, __LINE__, "here", "" __VA_ARGS__)
#define cr_log_info(...)    (fprintf(stderr, __VA_ARGS__), fputc('\n', stderr))
#define cr_skip_test(...)   alone_skip("" __VA_ARGS__)

#endif
