// The command line: words to rows.
#include <stdlib.h>
#include <string.h>

#include "metrics/base/text.h"
#include "train/options/option.h"

// How many letters have to change to make one of the other (Levenshtein).
static size_t distance(const char *name, size_t n, const char *other)
{
    size_t row[65]; // one row of the table at a time
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; i <= strlen(other); i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t swap = diagonal + (other[i - 1] != name[j - 1]);
            diagonal = row[j];
            size_t step = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = swap < step ? swap : step;
        }
    }
    return row[n];
}

// The known row that is nearest to a mistyped name: a beginning of it, else by edit distance. NULL
// when half of it would have to change: that is no slip of the fingers.
static const struct option_row *nearest(const struct option_set *set, const char *name)
{
    const struct option_row *best = NULL;
    size_t least = SIZE_MAX, n = strnlen(name, 64);
    for (; set->table; set++)
        for (const struct option_row *row = set->table; row->name; row++) {
            if (n >= 3 && !strncmp(row->name, name, n))
                return row;
            size_t far = distance(name, n, row->name);
            if (far < least) {
                least = far;
                best = row;
            }
        }
    return 2 * least < n ? best : NULL;
}

int option_unknown(const char *command, const struct option_set *set, const char *dashes,
                   const char *name, struct error *e)
{
    char shown[80];
    text_clean(shown, sizeof shown, name);
    const struct option_row *near = nearest(set, name);
    if (!near)
        return error_set(e, "unknown option %s%s; ssltop %s --help lists them", dashes, shown,
                         command);
    return error_set(e, "unknown option %s%s; the nearest is %s%s", dashes, shown,
                     *dashes ? option_dashes(near) : "", near->name);
}

// The row of a name, and the set that it belongs to.
static const struct option_row *find(const struct option_set **set, const char *name)
{
    for (; (*set)->table; (*set)++) {
        const struct option_row *row = option_find((*set)->table, name);
        if (row)
            return row;
    }
    return NULL;
}

// One option, its value perhaps in the next word: 1 or 2 words used, OPTION_HELP is 0, or -1.
static int take(const char *command, const struct option_set *all, int left, char **argv,
                struct error *e)
{
    const char *word = argv[0], *dashes = strncmp(word, "--", 2) == 0 ? "--" : "-";
    const struct option_set *set = all;
    char name[64];
    size_t skip = strlen(dashes), n = strcspn(word + skip, "=");
    const char *value = word[skip + n] ? word + skip + n + 1 : NULL;
    snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name - 1), word + skip);

    if (!value && (!strcmp(word, "-h") || !strcmp(name, option_help_row.name)))
        return 0;
    const struct option_row *row = find(&set, name);
    if (!row && !value && !strncmp(name, "no-", 3)) {
        set = all;
        row = find(&set, name + 3);
        value = "off";
        if (row && row->type != OPTION_FLAG)
            row = NULL;
    }
    if (!row || strcmp(dashes, option_dashes(row)) != 0)
        return option_unknown(command, all, dashes, name, e);
    int used = 1;
    // A folder of that name is what nobody wants, and would remove with all that is at home.
    if (value && (strncmp(value, "~/", 2) == 0 || strcmp(value, "~") == 0))
        return error_set(e,
                         "%s%s: no shell makes a path of a ~ behind an equals sign: leave a blank "
                         "there, %s%s %.80s",
                         dashes, name, dashes, name, value);
    if (!value && row->type == OPTION_FLAG)
        value = "on";
    if (!value) {
        if (left < 2 || !strncmp(argv[1], "--", 2))
            return error_set(e, "%s%s needs a value: %s%s%c%s", dashes, name, dashes, name,
                             dashes[1] ? '=' : ' ', row->argument);
        value = argv[1];
        used = 2;
    }
    if (option_set(row, set->into, value, e) < 0)
        return -1;
    if (set->given)
        set->given[row - set->table] = 1;
    return used;
}

int option_parse(const char *command, const struct option_set *set, int argc, char **argv,
                 int *words, struct error *e)
{
    char shown[80];
    int n = 0, only_words = 0, used;
    for (int i = 1; i < argc; i += used) {
        used = 1;
        if (words && !only_words && !strcmp(argv[i], "--")) {
            only_words = 1;
        } else if (!only_words && argv[i][0] == '-' && strcmp(argv[i], "-") != 0 &&
                   strncmp(argv[i], "-:", 2) != 0 && strcmp(argv[i], "--") != 0) {
            used = take(command, set, argc - i, argv + i, e);
            if (used <= 0)
                return used < 0 ? -1 : OPTION_HELP;
        } else if (words) {
            argv[++n] = argv[i];
        } else {
            text_clean(shown, sizeof shown, argv[i]);
            return error_set(e, "unexpected argument '%s'", shown);
        }
    }
    if (words) {
        *words = n;
        argv[n + 1] = NULL;
    }
    return 0;
}
