// An ini file of words.
#include "tui/hands/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metrics/base/file.h"
#include "metrics/base/path.h"
#include "tui/hands/terminal.h"

#define FIELD(f) offsetof(struct look, f)

const struct setting setting_table[] = {
    {"theme", NULL, 0, "the colour scheme, as --theme"},
    {"ascii", "auto|on", FIELD(ascii_always),
     "ASCII characters only: where they must be, or always"},
    {"mouse", "on|off", FIELD(no_mouse),
     "let the mouse choose panels, steps and keys; off leaves it to the terminal, to select text"},
    {"axis", "log|linear", FIELD(linear), "of the spectrum"},
    {"values", "relative|absolute", FIELD(absolute),
     "of the spectrum: to its largest, or as they are"},
    {"waterfall", "off|on", FIELD(waterfall), "spectra over time fill the view of the spectrum"},
    {NULL, NULL, 0, NULL},
};

static int *field_of(struct look *look, const struct setting *s)
{
    return (int *)(void *)((char *)look + s->offset);
}

static int value_of(const struct look *look, const struct setting *s)
{
    return *(const int *)(const void *)((const char *)look + s->offset);
}

// The i-th word of the choices, its length in *n.
static const char *choice(const char *choices, int i, int *n)
{
    while (i-- > 0)
        choices += strcspn(choices, "|") + 1;
    *n = (int)strcspn(choices, "|");
    return choices;
}

static int count(const char *choices)
{
    int n = 1;
    for (; *choices; choices++)
        n += *choices == '|';
    return n;
}

int settings_path(char *path, size_t size)
{
    int n = snprintf(path, size, "%s", path_config("ssltop.ini").s);
    return n > 0 && (size_t)n < size ? 0 : -1;
}

static int take(void *to, const char *section, const char *name, const char *value)
{
    struct look *look = to;
    for (const struct setting *s = setting_table; s->name; s++) {
        if (strcmp(s->name, name) != 0)
            continue;
        if (!s->choices) {
            look->theme = theme_find(value) ? theme_find(value) : look->theme;
            return theme_find(value) != NULL;
        }
        for (int i = 0, n; i < count(s->choices); i++) {
            const char *word = choice(s->choices, i, &n);
            if ((int)strlen(value) == n && strncmp(word, value, (size_t)n) == 0) {
                *field_of(look, s) = i;
                return 1;
            }
        }
        return 0;
    }
    return 1; // of a later version
}

int settings_read(const char *path, struct look *look, struct error *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // not to wait at a pipe
    FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (!f && fd >= 0)
        close(fd);
    if (!f)
        return errno == ENOENT || errno == ENOTDIR ? 0 : error_system(e, "can't read %s", path);
    int line = ini_parse_file(f, take, look);
    fclose(f);
    return line ? error_set(e, "%s, line %d: not understood", path, line) : 0;
}

// The folders above a file.
static int make_folders(const char *path)
{
    for (const char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/'))
        if (mkdir(path_of("%.*s", (int)(p - path), path).s, 0700) && errno != EEXIST)
            return -1;
    return 0;
}

int settings_write(const char *path, const struct look *look, struct error *e)
{
    struct file out;
    struct stat st;
    if (stat(path, &st) == 0 && S_ISFIFO(st.st_mode))
        return error_set(e, "%.300s is a pipe", path);
    if (make_folders(path))
        return error_system(e, "can't make the folder of %.300s", path);
    if (file_create(&out, path, 0, e) < 0)
        return -1;
    FILE *f = out.stream;
    fprintf(f, "; how ssltop's screen looks: written when it is left\n[screen]\n");
    for (const struct setting *s = setting_table; s->name; s++) {
        int n;
        if (!s->choices) {
            fprintf(f, "%s = %s\n", s->name, look->theme ? look->theme->name : theme_table[0].name);
            continue;
        }
        const char *word = choice(s->choices, value_of(look, s), &n);
        fprintf(f, "%s = %.*s\n", s->name, n, word);
    }
    return file_finish(&out, 0, e);
}

int settings_differ(const struct look *a, const struct look *b)
{
    for (const struct setting *s = setting_table; s->name; s++)
        if (s->choices ? value_of(a, s) != value_of(b, s) : a->theme != b->theme)
            return 1;
    return 0;
}

void settings_characters(struct view_state *v, int ascii)
{
    struct error why;
    if (terminal_stands_in(&why))
        view_say(v, ROLE_WARN, "%s", why.text);
    v->ascii = ascii || v->look.ascii_always;
    if (v->ascii || terminal_unicode(&why))
        return;
    v->ascii = 1;
    view_say(v, ROLE_WARN, "ASCII only: %s", why.text);
}
