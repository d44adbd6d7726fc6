// Paths: what is too long is refused by whoever uses it, never another path; and where our own
// files lie.
#include "metrics/base/path.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

Test(path, put_together)
{
    cr_assert_str_eq(path_of("%s/%s-%d", "a", "b", 7).s, "a/b-7");
    static const char *const row[][2] = {{"a", "./"}, {"a/b", "a/"},    {"/a", "/"},
                                         {"/", "/"},  {"a/b/", "a/b/"}, {"../x", "../"}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        cr_assert_str_eq(path_folder(row[i][0]).s, row[i][1]);
}

Test(path, of_this_program)
{
    cr_assert(path_program().s[0] == '/' && access(path_program().s, X_OK) == 0);
}

Test(path, too_long_is_too_long)
{
    for (int n = PATH_MAX - 3; n < PATH_MAX + 5; n++) {
        char *text = malloc((size_t)n + 1);
        cr_assert(text != NULL);
        // A way to the root of that length.
        for (int i = 0; i < n; i++)
            text[i] = i % 2 || i == n - 1 ? '/' : '.';
        *text = '/';
        text[n] = '\0';
        struct path p = path_of("%s", text);
        int rc = access(p.s, F_OK);
        cr_assert(n < PATH_MAX ? rc == 0 && !strcmp(p.s, text) : rc < 0 && errno == ENAMETOOLONG,
                  "%d: %s", n, strerror(errno));
        free(text);
    }
}

Test(path, of_a_user_is_where_xdg_says)
{
    cr_assert(setenv("XDG_CACHE_HOME", "/a", 1) == 0 && setenv("HOME", "/b", 1) == 0);
    cr_expect_str_eq(path_cache("x").s, "/a/ssltop/x");
    cr_assert(setenv("XDG_CACHE_HOME", "a", 1) == 0); // relative ones do not count
    cr_expect_str_eq(path_cache("x").s, "/b/.cache/ssltop/x");
    cr_assert(unsetenv("HOME") == 0);
    cr_expect_str_eq(path_cache("x").s, "");
    cr_assert(setenv("XDG_CONFIG_HOME", "/c", 1) == 0);
    cr_expect_str_eq(path_config("x").s, "/c/ssltop/x");
}

Test(path, of_a_user_behind_a_tilde)
{
    cr_assert(setenv("HOME", "/b", 1) == 0);
    cr_expect_str_eq(path_home("~").s, "/b");
    cr_expect_str_eq(path_home("~/x/y").s, "/b/x/y");
    cr_expect_str_eq(path_home("~root/x").s, "/root/x");
    cr_expect_str_eq(path_home("~nobody-of-that-name/x").s, "~nobody-of-that-name/x");
    cr_expect_str_eq(path_home("x/~").s, "x/~");
    cr_assert(unsetenv("HOME") == 0);
    cr_expect_eq(*path_home("~/x").s, '/');
}

Test(path, has_its_folder_made)
{
    char top[] = "/tmp/ssltop-test-XXXXXX";
    struct error e = {""};
    cr_assert(mkdtemp(top) && setenv("XDG_CACHE_HOME", path_of("%s/deep", top).s, 1) == 0);
    struct path path = path_cache("x");
    for (int again = 0; again < 2; again++)
        cr_assert(path_make_folder(path.s, &e) == 0, "%s", e.text);
    FILE *f = fopen(path.s, "w");
    cr_assert(f && fclose(f) == 0);
    // A file is in the way of a folder.
    cr_expect(path_make_folder(path_of("%s/y/z", path.s).s, &e) == -1 &&
                  strstr(e.text, "/ssltop/x/y"),
              "%s", e.text);
    cr_assert(unlink(path.s) == 0 && rmdir(path_folder(path.s).s) == 0);
    cr_assert(rmdir(path_of("%s/deep", top).s) == 0 && rmdir(top) == 0);
}

Test(path, names_a_file_or_not)
{
    cr_assert(path_is_file(path_program().s));
    cr_assert(!path_is_file("/") && !path_is_file("/dev/null") && !path_is_file("/no/such/file"));
}
