// Paths: what is too long is refused by whoever uses it, never another path.
#include "metrics/base/path.h"

#include <criterion/criterion.h>
#include <errno.h>
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
