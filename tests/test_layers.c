// The house: a floor includes only itself and floors below it, also by way of others; no files
// include each other in a circle; the screen never looks at a device, and nothing but the screen
// knows curses, nothing but gpu/cpu/onednn which oneDNN there is, nothing but metrics/base/clock.c
// what time it is on the wall; rooms stay as large as a person can overlook, and no source is so
// short that it is only a part of an idea.
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char *const floor_table[] = {"metrics", "data", "gpu", "train",
                                          "tui"}; // from the ground
enum {
    FLOORS = sizeof floor_table / sizeof *floor_table,
    GPU = 2,
    TUI = 4,
    FILES = 1024,
    INCLUDES = 64,
    PATH = 96,
    ROOM = 20,   // sources of a folder
    LINES = 500, // of a source
    LEAST = 60,  // of a source that is a whole idea
};
// Sources that are short for a reason: rows of a table in files of their own would stand here, too.
static const char *const short_table[][2] = {
    {"tui/cli/main.c", "what comes before all else"},
    {"train/client/examples/client.c", "an example of how little it takes"},
};

static struct file {
    char path[PATH];
    int floor, lines, curses, onednn, wall;
    char include[INCLUDES][PATH]; // paths from the top
    int n;
} files[FILES];
static int n_files;

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

// A call of oneDNN, or a question which one it is.
static int asks_onednn(const char *line)
{
    for (const char *at = strstr(line, "dnnl_"); at; at = strstr(at + 1, "dnnl_"))
        if (at[strspn(at, "abcdefghijklmnopqrstuvwxyz_0123456789")] == '(')
            return 1;
    return strstr(line, "DNNL_VERSION") != NULL;
}

// A question of the clock that people and daemons set.
static int asks_wall(const char *line)
{
    static const char *const how[] = {" time(NULL)", " time(0)", "gettimeofday(", "CLOCK_REALTIME",
                                      "timespec_get("};
    for (size_t i = 0; i < sizeof how / sizeof *how; i++)
        if (strstr(line, how[i]))
            return 1;
    return 0;
}

static void read_file(const char *path, int floor)
{
    char line[1024];
    cr_assert(n_files < FILES && strlen(path) < PATH, "%s", path);
    struct file *f = &files[n_files++];
    FILE *in = fopen(path, "r");
    cr_assert(in != NULL, "%s", path);
    strcpy(f->path, path);
    f->floor = floor;
    while (fgets(line, sizeof line, in)) {
        f->lines++;
        f->onednn |= asks_onednn(line);
        f->wall |= asks_wall(line);
        char *what = included(line), *end;
        // The one name that is not a path: the tests' stand-in for the card, in no build of ours.
        if (!what || strncmp(what, "CUDA_SHIM", 9) == 0)
            continue;
        cr_assert(*what == '"' || *what == '<', "%s:%d: include of a macro", path, f->lines);
        if (*what == '<') {
            f->curses |=
                strstr(what, "curses") || strstr(what, "<term.h>") || strstr(what, "<panel.h>");
            continue;
        }
        end = strchr(what + 1, '"');
        cr_assert(end && end - what < PATH && f->n < INCLUDES, "%s:%d", path, f->lines);
        *end = '\0';
        cr_assert(floor_of(what + 1) >= 0, "%s:%d: an include must begin with its floor", path,
                  f->lines);
        strcpy(f->include[f->n++], what + 1);
    }
    fclose(in);
}

static void read_folder(const char *path, int floor)
{
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
            read_folder(child, floor);
        else if (has_suffix(child, ".c") || has_suffix(child, ".h") || has_suffix(child, ".cu") ||
                 has_suffix(child, ".cuh") || has_suffix(child, ".inc"))
            read_file(child, floor);
    }
    closedir(d);
}

static void read_house(void)
{
    for (int i = 0; i < FLOORS; i++)
        read_folder(floor_table[i], i);
}

TestSuite(layers, .init = read_house);

static struct file *find(const char *path)
{
    for (int i = 0; i < n_files; i++)
        if (strcmp(files[i].path, path) == 0)
            return &files[i];
    return NULL;
}

// Everything that `f` includes, and what those include: seen[] of files.
static void follow(const struct file *f, unsigned char *seen)
{
    for (int i = 0; i < f->n; i++) {
        const struct file *g = find(f->include[i]);
        cr_assert(g, "%s includes %s, which is not there", f->path, f->include[i]);
        if (!seen[g - files]) {
            seen[g - files] = 1;
            follow(g, seen);
        }
    }
}

Test(layers, nothing_calls_upward)
{
    cr_assert(n_files > 100);
    for (int i = 0; i < n_files; i++) {
        unsigned char seen[FILES] = {0};
        const struct file *f = &files[i];
        follow(f, seen);
        cr_expect(!f->onednn || strncmp(f->path, "gpu/cpu/onednn", 14) == 0,
                  "%s: oneDNN outside gpu/cpu/onednn.c", f->path);
        cr_expect(!f->curses || f->floor == TUI, "%s: curses outside tui/", f->path);
        cr_expect(!f->wall || strcmp(f->path, "metrics/base/clock.c") == 0,
                  "%s: a clock that jumps, outside metrics/base/clock.c", f->path);
        for (int k = 0; k < n_files; k++) {
            if (!seen[k])
                continue;
            cr_expect(files[k].floor <= f->floor, "%s calls upward into %s", f->path,
                      files[k].path);
            cr_expect(f->floor != TUI || files[k].floor != GPU,
                      "%s: the screen looks at a device: %s", f->path, files[k].path);
        }
    }
}

// A header and its source are one.
static size_t stem(const char *path)
{
    return (size_t)(strrchr(path, '.') - path);
}

static int is_one(const char *a, const char *b)
{
    return stem(a) == stem(b) && strncmp(a, b, stem(a)) == 0;
}

enum { NEW, OPEN, DONE };
static int state[FILES];

// Depth first over files, a header together with its source; `last` is how we came here.
static void visit(struct file *f, const char *last)
{
    int here = (int)(f - files);
    cr_expect(state[here] != OPEN, "%s and %s include each other in a circle", last, f->path);
    if (state[here] != NEW)
        return;
    for (int i = 0; i < n_files; i++)
        if (is_one(files[i].path, f->path))
            state[i] = OPEN;
    for (int i = 0; i < n_files; i++)
        for (int k = 0; is_one(files[i].path, f->path) && k < files[i].n; k++) {
            struct file *g = find(files[i].include[k]);
            if (g && !is_one(g->path, f->path))
                visit(g, files[i].path);
        }
    for (int i = 0; i < n_files; i++)
        if (is_one(files[i].path, f->path))
            state[i] = DONE;
}

Test(layers, no_circle_of_files)
{
    for (int i = 0; i < n_files; i++)
        visit(&files[i], files[i].path);
}

static int is_source(const char *path)
{
    return has_suffix(path, ".c") || has_suffix(path, ".cu");
}

static int may_be_short(const char *path)
{
    for (size_t i = 0; i < sizeof short_table / sizeof *short_table; i++)
        if (strcmp(path, short_table[i][0]) == 0)
            return 1;
    return 0;
}

static size_t folder(const char *path)
{
    return (size_t)(strrchr(path, '/') - path);
}

Test(layers, what_may_be_short_is)
{
    for (size_t i = 0; i < sizeof short_table / sizeof *short_table; i++) {
        const struct file *f = find(short_table[i][0]);
        cr_expect(f && f->lines < LEAST, "%s (%s)", short_table[i][0], short_table[i][1]);
    }
}

Test(layers, rooms_can_be_overlooked)
{
    for (int i = 0; i < n_files; i++) {
        int sources = 0;
        size_t n = folder(files[i].path);
        for (int k = 0; k < n_files; k++)
            sources += folder(files[k].path) == n &&
                       strncmp(files[k].path, files[i].path, n) == 0 && is_source(files[k].path);
        cr_expect(sources <= ROOM, "%.*s has %d sources", (int)n, files[i].path, sources);
        cr_expect(files[i].lines <= LINES, "%s has %d lines: is it still one idea?", files[i].path,
                  files[i].lines);
        cr_expect(files[i].lines >= LEAST || !is_source(files[i].path) ||
                      may_be_short(files[i].path),
                  "%s has %d lines: of which idea is it a part?", files[i].path, files[i].lines);
    }
}
