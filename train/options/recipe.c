// Finding recipes: files NAME.ini that come with the program.
#include "train/options/recipe.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics/log/record.h"
#include "train/methods/method.h"
#include "train/options/installed.h"

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

// Names in `folder`, separated by commas, after what `text` holds.
static void list(const char *folder, char *text, size_t size)
{
    struct dirent **entry;
    int n = scandir(folder, &entry, is_recipe, alphasort);
    for (int i = 0; i < n; i++) {
        char shown[80];
        text_clean(shown, sizeof shown, entry[i]->d_name);
        size_t at = strlen(text), len = strlen(shown);
        if (len > strlen(SUFFIX))
            shown[len - strlen(SUFFIX)] = '\0';
        snprintf(text + at, size - at, "%s%s", at ? ", " : "", shown);
        free(entry[i]);
    }
    if (n >= 0)
        free(entry);
}

int recipe_path(const char *name, char *path, size_t size, struct error *e)
{
    char folder[INSTALLED_FOLDERS][INSTALLED_PATH], names[256] = "";
    if (recipe_check(name, e) < 0)
        return -1;
    int n = installed_folders("SSLTOP_RECIPES", "recipes", folder);
    for (int i = 0; i < n; i++) {
        int len = snprintf(path, size, "%s/%s" SUFFIX, folder[i], name);
        if (len > 0 && (size_t)len < size && access(path, F_OK) == 0)
            return 0;
    }
    for (int i = 0; i < n && !names[0]; i++)
        list(folder[i], names, sizeof names);
    if (!names[0])
        return error_set(e, "there is no recipe '%s': none is installed in %.200s", name,
                         folder[n - 1]);
    return error_set(e, "there is no recipe '%s'; there are %s", name, names);
}

int recipe_read(struct options *o, const char *name, unsigned char *given, struct error *e)
{
    char path[INSTALLED_PATH + 128];
    if (recipe_path(name, path, sizeof path, e) < 0)
        return error_prefix(e, "--recipe");
    return options_read_file(o, path, given, e);
}

void recipe_give_way(struct options *o, unsigned char *given, const unsigned char *later)
{
    const struct method_row *m = method_find(o->method);
    for (int i = 0; m && m->unused[i]; i++) {
        const struct option_row *row = option_find(m->unused[i]);
        ptrdiff_t at = row - option_table;
        if (!given[at] || later[at])
            continue;
        options_set(o, row->name, row->fallback, NULL);
        given[at] = 0;
    }
}
