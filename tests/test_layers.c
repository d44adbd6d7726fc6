// The floors of the house: a floor includes only itself and floors below it, the screen never looks
// at a device, and nothing but the screen knows curses.
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char *const floor_table[] = {"metrics", "data", "gpu", "train",
                                          "tui"}; // from the ground
enum { FLOORS = sizeof floor_table / sizeof *floor_table, GPU = 2, TUI = 4 };

// The floor that a path begins with, or -1.
static int floor_of(const char *path)
{
    for (int i = 0; i < FLOORS; i++) {
        size_t n = strlen(floor_table[i]);
        if (!strncmp(path, floor_table[i], n) && path[n] == '/')
            return i;
    }
    return -1;
}

static int has_suffix(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    return n >= m && !strcmp(name + n - m, suffix);
}

// What follows #include on this line, with its quote or bracket; NULL when there is none.
static char *included(char *line)
{
    char *at = line + strspn(line, " \t");
    if (*at++ != '#')
        return NULL;
    at += strspn(at, " \t");
    if (strncmp(at, "include", 7) != 0)
        return NULL;
    at += 7;
    return at + strspn(at, " \t");
}

// Check every #include of a file; how many there are.
static int check_file(const char *path)
{
    int floor = floor_of(path), n = 0, number = 0;
    char line[1024];
    FILE *f = fopen(path, "r");
    cr_assert(f != NULL, "%s", path);
    while (fgets(line, sizeof line, f)) {
        number++;
        const char *what = included(line);
        if (!what)
            continue;
        n++;
        // The one name that is not a path: the tests' stand-in for the card, in no build of ours.
        if (strncmp(what, "CUDA_SHIM", 9) == 0)
            continue;
        cr_assert(*what == '"' || *what == '<', "%s:%d: include of a macro", path, number);
        if (*what == '<') {
            int curses =
                strstr(what, "curses") || strstr(what, "<term.h>") || strstr(what, "<panel.h>");
            cr_assert(!curses || floor == TUI, "%s:%d: curses outside tui/", path, number);
            continue;
        }
        int other = floor_of(what + 1);
        cr_assert(other >= 0, "%s:%d: an include must begin with its floor", path, number);
        cr_assert(other <= floor, "%s:%d: %s/ calls upward into %s/", path, number,
                  floor_table[floor], floor_table[other]);
        cr_assert(floor != TUI || other != GPU, "%s:%d: the screen looks at a device", path,
                  number);
    }
    fclose(f);
    return n;
}

static int check_folder(const char *path)
{
    int n = 0;
    DIR *d = opendir(path);
    cr_assert(d != NULL, "%s: the tests run in the top folder of the repository", path);
    for (struct dirent *entry = readdir(d); entry; entry = readdir(d)) {
        char child[512];
        struct stat st;
        if (entry->d_name[0] == '.')
            continue;
        snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
        cr_assert(stat(child, &st) == 0, "%s", child);
        if (S_ISDIR(st.st_mode))
            n += check_folder(child);
        else if (has_suffix(child, ".c") || has_suffix(child, ".h") || has_suffix(child, ".cu") ||
                 has_suffix(child, ".cuh") || has_suffix(child, ".inc"))
            n += check_file(child);
    }
    closedir(d);
    return n;
}

Test(layers, nothing_calls_upward)
{
    for (int i = 0; i < FLOORS; i++)
        cr_assert(check_folder(floor_table[i]) > 0, "%s/ includes nothing at all", floor_table[i]);
}
