// Finding recipes: files NAME.ini that come with the program.
#include "train/options/recipe.h"

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics/base/path.h"
#include "metrics/base/text.h"
#include "train/methods/method.h"

#define SUFFIX ".ini"

int recipe_check(const char *name, struct error *e)
{
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '-' && *c != '_')
            return error_set(e, "a recipe's name has letters, digits, '-' and '_'; for a file of "
                                "your own there is --config");
    return 0;
}

static int is_recipe(const struct dirent *d)
{
    size_t n = strlen(d->d_name), m = strlen(SUFFIX);
    return n > m && strcmp(d->d_name + n - m, SUFFIX) == 0;
}

int recipe_value(int i, char *text, size_t size)
{
    struct path folder[PATH_INSTALLED];
    struct dirent **entry;
    int found = 0, n = 0;
    for (int k = 0; k < path_installed("SSLTOP_RECIPES", "recipes", folder) && n < 1; k++) {
        n = scandir(folder[k].s, &entry, is_recipe, alphasort);
        if (n > i) {
            text_clean(text, size, entry[i]->d_name);
            text[strlen(text) > strlen(SUFFIX) ? strlen(text) - strlen(SUFFIX) : 0] = '\0';
            found = 1;
        }
        for (int j = 0; j < n; j++)
            free(entry[j]);
        if (n >= 0)
            free(entry);
    }
    return found;
}

int recipe_read(struct options *o, const char *name, unsigned char *given, struct error *e)
{
    static const struct option_row known = {.values = recipe_value};
    struct path folder[PATH_INSTALLED];
    char names[256];
    if (recipe_check(name, e) < 0)
        return error_prefix(e, "--recipe");
    int n = path_installed("SSLTOP_RECIPES", "recipes", folder);
    for (int i = 0; i < n; i++) {
        struct path path = path_of("%s/%s" SUFFIX, folder[i].s, name);
        if (access(path.s, F_OK) == 0)
            return options_read_file(o, path.s, given, e);
    }
    option_choices(&known, names, sizeof names);
    if (!names[0])
        return error_set(e, "--recipe: there is no recipe '%s': none is installed in %.200s", name,
                         folder[n - 1].s);
    return error_set(e, "--recipe: there is no recipe '%s'; there are %s", name, names);
}

void recipe_give_way(struct options *o, unsigned char *given, const unsigned char *later)
{
    const struct method_row *m = method_find(o->method);
    for (int i = 0; m && m->unused[i].option; i++) {
        const struct option_row *row = option_find(options_table, m->unused[i].option);
        ptrdiff_t at = row - options_table;
        if (!given[at] || later[at])
            continue;
        option_set(row, o, row->fallback, NULL);
        given[at] = 0;
    }
}
