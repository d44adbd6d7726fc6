// The file is text: a line that says whose it is, a line a convolution, and a line with their
// number and a checksum.
#include "gpu/cuda/cache.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics/base/file.h"
#include "metrics/base/memory.h"
#include "metrics/base/path.h"
#include "metrics/base/text.h"

enum { FILE_MAX = 1 << 20, ENTRIES_MAX = 8192, NUMBERS = 10, EXTENT_MAX = 1 << 24 };

struct entry {
    struct dnn_shape shape;
    enum dnn_pass pass;
    char letter;
    int kept; // in the file
    size_t workspace;
};

struct cache {
    struct entry *entry;
    int n, cap, fresh; // fresh: entries that the file should get
    char title[128];
    struct path path; // "" where there is no place for a file
    struct error notice;
};

static const char *const pass_name[] = {
    [DNN_FORWARD] = "forward", [DNN_DATA] = "data", [DNN_FILTER] = "filter"};
enum { PASSES = sizeof pass_name / sizeof *pass_name };

// --- in memory ---
static struct entry *find(const struct cache *c, const struct dnn_shape *s, enum dnn_pass pass)
{
    for (int i = 0; i < c->n; i++)
        if (c->entry[i].pass == pass && memcmp(&c->entry[i].shape, s, sizeof *s) == 0)
            return &c->entry[i];
    return NULL;
}

char cache_find(const struct cache *c, const struct dnn_shape *s, enum dnn_pass pass,
                size_t *workspace)
{
    const struct entry *found = find(c, s, pass);
    *workspace = found ? found->workspace : 0;
    return found ? found->letter : 0;
}

static struct entry *append(struct cache *c, const struct dnn_shape *s, enum dnn_pass pass)
{
    if (memory_grow(c->entry, c->cap, c->n + 1) < 0)
        return NULL;
    struct entry *new = &c->entry[c->n++];
    *new = (struct entry){.shape = *s, .pass = pass};
    return new;
}

int cache_add(struct cache *c, const struct dnn_shape *s, enum dnn_pass pass, char letter,
              size_t workspace, int clocked, struct error *e)
{
    struct entry *to = find(c, s, pass);
    if (!to && !(to = append(c, s, pass)))
        return error_set(e, "out of memory planning a convolution");
    c->fresh += clocked && (!to->kept || to->letter != letter);
    to->kept |= clocked;
    to->letter = letter;
    to->workspace = workspace;
    return 0;
}

// --- lines ---
static void numbers_of(struct dnn_shape *s, int *to[NUMBERS])
{
    int *all[NUMBERS] = {&s->n,  &s->c,  &s->h, &s->w,      &s->out,
                         &s->oh, &s->ow, &s->k, &s->stride, &s->pad};
    memcpy(to, all, sizeof all);
}

static int print_entry(char *line, size_t size, const struct entry *e)
{
    struct dnn_shape s = e->shape;
    int *v[NUMBERS], n = snprintf(line, size, "%s %s", pass_name[e->pass], s.bf16 ? "bf16" : "f32");
    numbers_of(&s, v);
    for (int i = 0; i < NUMBERS; i++)
        n += snprintf(line + n, size - (size_t)n, " %d", *v[i]);
    return n + snprintf(line + n, size - (size_t)n, " %c\n", e->letter);
}

// One word of the line, NULL at its end.
static char *word(char **at)
{
    char *start = *at;
    if (!*start)
        return NULL;
    size_t n = strcspn(start, " ");
    *at = start + n + (start[n] == ' ');
    start[n] = '\0';
    return start;
}

// -1: no such line.
static int parse_entry(char *line, struct entry *e)
{
    char *name = word(&line), *type = name ? word(&line) : NULL;
    int *v[NUMBERS], pass = 0;
    memset(e, 0, sizeof *e);
    while (name && pass < PASSES && strcmp(name, pass_name[pass]))
        pass++;
    if (!type || pass == PASSES || (strcmp(type, "bf16") && strcmp(type, "f32")))
        return -1;
    e->pass = (enum dnn_pass)pass;
    e->shape.bf16 = type[0] == 'b';
    numbers_of(&e->shape, v);
    for (int i = 0; i < NUMBERS; i++) {
        char *number = word(&line), *end;
        if (!number || !isdigit((unsigned char)*number))
            return -1;
        long value = strtol(number, &end, 10);
        if (*end || value > EXTENT_MAX)
            return -1;
        *v[i] = (int)value;
    }
    char *letter = word(&line);
    if (!letter || strlen(letter) != 1 || !dnn_is_letter(letter[0]) || *line)
        return -1;
    e->letter = letter[0];
    e->kept = 1;
    return 0;
}

static uint64_t checksum(const char *text, size_t n) // FNV-1a
{
    uint64_t h = 14695981039346656037ull;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)text[i]) * 1099511628211ull;
    return h;
}

// --- the file ---
// Takes what the text has, which has been found whole. -1: a line that is none.
static int take_lines(struct cache *c, char *text)
{
    for (char *line = text, *next; *line; line = next) {
        struct entry e;
        char *end = strchr(line, '\n');
        if (!end || c->n >= ENTRIES_MAX)
            return -1;
        *end = '\0';
        next = end + 1;
        if (parse_entry(line, &e) < 0)
            return -1;
        if (find(c, &e.shape, e.pass)) // what was clocked since is newer
            continue;
        struct entry *to = append(c, &e.shape, e.pass);
        if (!to)
            return -1;
        *to = e;
    }
    return 0;
}

// The text between title and last line, NULL when it is not whole.
static char *whole(const struct cache *c, char *text, size_t n)
{
    size_t title = strlen(c->title);
    char want[64];
    if (memchr(text, '\0', n) || n <= title || strncmp(text, c->title, title))
        return NULL;
    char *last = text + n - 1;
    if (*last != '\n')
        return NULL;
    while (last > text && last[-1] != '\n')
        last--;
    snprintf(want, sizeof want, "end %016" PRIx64 "\n", checksum(text, (size_t)(last - text)));
    if (last < text + title || strcmp(last, want))
        return NULL;
    *last = '\0';
    return text + title;
}

static void load(struct cache *c)
{
    size_t n;
    int before = c->n;
    if (access(c->path.s, F_OK) < 0)
        return;
    char *text = text_read(c->path.s, FILE_MAX, &n), *lines = text ? whole(c, text, n) : NULL;
    if (!lines || take_lines(c, lines) < 0) {
        c->n = before;
        error_set(&c->notice, "%s is damaged and passed over: convolutions are clocked anew",
                  c->path.s);
    }
    free(text);
}

static int write_all(const struct cache *c, FILE *f, struct error *e)
{
    char line[256];
    size_t size = strlen(c->title) + (size_t)c->n * sizeof line + sizeof line, at;
    char *text = malloc(size);
    if (!text)
        return error_set(e, "out of memory");
    at = (size_t)snprintf(text, size, "%s", c->title);
    for (int i = 0; i < c->n; i++)
        if (c->entry[i].kept) {
            size_t n = (size_t)print_entry(line, sizeof line, &c->entry[i]);
            memcpy(text + at, line, n + 1);
            at += n;
        }
    fwrite(text, 1, at, f);
    fprintf(f, "end %016" PRIx64 "\n", checksum(text, at));
    free(text);
    return 0;
}

void cache_save(struct cache *c)
{
    struct file out;
    if (!c->fresh || !c->path.s[0])
        return;
    load(c); // others may have written meanwhile
    c->fresh = 0;
    int rc = path_make_folder(c->path.s, &c->notice);
    if (rc == 0)
        rc = file_create(&out, c->path.s, FILE_DURABLE, &c->notice);
    if (rc == 0)
        rc = file_finish(&out, write_all(c, out.stream, &c->notice), &c->notice);
    if (rc < 0)
        error_prefix(&c->notice, "what was clocked is not remembered");
}

// --- beginning and end ---
struct cache *cache_open(const char *card, int sm, size_t cudnn)
{
    char name[64];
    struct cache *c = calloc(1, sizeof *c);
    if (!c || !card)
        return c;
    size_t n = 0;
    for (; card[n] && n + 1 < sizeof name; n++)
        name[n] = isalnum((unsigned char)card[n]) ? card[n] : '_';
    name[n] = '\0';
    snprintf(c->title, sizeof c->title, "ssltop-plans 1 %s sm_%d cudnn%zu\n", name, sm, cudnn);
    c->path = path_cache(path_of("plans-%s-sm_%d-cudnn%zu", name, sm, cudnn).s);
    if (c->path.s[0])
        load(c);
    return c;
}

void cache_free(struct cache *c)
{
    if (c)
        free(c->entry);
    free(c);
}

void cache_notice(struct cache *c, char *text, size_t size)
{
    snprintf(text, size, "%s", c->notice.text);
    c->notice.text[0] = '\0';
}
