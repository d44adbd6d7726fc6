// Files of the user's cache: where they are, and that nothing but a small text is read.
#include "metrics/base/cached.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

Test(cached, lies_where_xdg_says)
{
    cr_assert(setenv("XDG_CACHE_HOME", "/a", 1) == 0 && setenv("HOME", "/b", 1) == 0);
    cr_expect_str_eq(cached_path("x").s, "/a/ssltop/x");
    cr_assert(setenv("XDG_CACHE_HOME", "a", 1) == 0); // relative ones do not count
    cr_expect_str_eq(cached_path("x").s, "/b/.cache/ssltop/x");
    cr_assert(unsetenv("HOME") == 0);
    cr_expect_str_eq(cached_path("x").s, "");
}

Test(cached, reads_small_text_only)
{
    static const struct {
        const char *bytes;
        size_t n;
        int is_read;
    } rows[] = {{"", 0, 1},
                {"1234567", 7, 1},
                {"12345678", 8, 1},
                {"123456789", 9, 0},
                {"12\0"
                 "4",
                 4, 0}};
    char top[] = "/tmp/ssltop-test-XXXXXX";
    struct error e;
    size_t n;
    cr_assert(mkdtemp(top) && setenv("XDG_CACHE_HOME", path_of("%s/deep", top).s, 1) == 0);
    struct path path = cached_path("x");
    cr_expect(cached_read(path.s, 8, &n) == NULL && n == 0);
    for (int again = 0; again < 2; again++)
        cr_assert(cached_folder(path.s, &e) == 0, "%s", e.text);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        FILE *f = fopen(path.s, "w");
        cr_assert(f && fwrite(rows[i].bytes, 1, rows[i].n, f) == rows[i].n && fclose(f) == 0);
        char *text = cached_read(path.s, 8, &n);
        cr_expect(!!text == rows[i].is_read, "row %zu", i);
        if (text)
            cr_expect(n == rows[i].n && strcmp(text, rows[i].bytes) == 0, "row %zu: %s", i, text);
        free(text);
    }
    // A file is in the way of a folder.
    cr_expect(cached_folder(path_of("%s/y/z", path.s).s, &e) == -1 && strstr(e.text, "/ssltop/x/y"),
              "%s", e.text);
    cr_assert(unlink(path.s) == 0);
    rmdir(path_folder(path.s).s);
    rmdir(path_of("%s/deep", top).s);
    rmdir(top);
}
