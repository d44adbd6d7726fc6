// A packed file as a source: a picture is a place in the file. Nothing in it is believed until it
// was compared with the size of the file.
#include "data/sets/pack.h"
#include "metrics/base/other_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "metrics/base/file.h"
#include "metrics/base/memory.h"

enum { SIDE = 224 };

struct pack_source {
    struct pictures base;
    int fd;
    char *path; // for messages
    uint64_t *at;
    struct pictures_size *size;
    int32_t *label;
    struct memory memory; // of these
};

struct pack_reader {
    struct pictures *source; // first, see data/photos/pictures.h
    uint8_t *pixel;
    size_t room;
};

// n bytes at `at`, all of them.
static int read_at(int fd, const char *path, uint64_t at, void *to, size_t n, struct error *e)
{
    size_t got = file_read_at(fd, to, n, at);
    if (got == n)
        return 0;
    return error_set(e, "cannot read %.300s at byte %" PRIu64 ": %s", path, at + got,
                     errno ? strerror(errno) : "it has become shorter");
}

static int reader_new(struct pictures *s, struct pictures_reader **out, struct error *e)
{
    struct pack_reader *r = calloc(1, sizeof *r);
    if (!r)
        return error_set(e, "out of memory");
    r->source = s;
    *out = (struct pictures_reader *)r;
    return 0;
}

static void reader_free(struct pictures_reader *reader)
{
    struct pack_reader *r = (struct pack_reader *)reader;
    free(r->pixel);
    free(r);
}

// The rows of image i that the crops touch, each where it belongs.
static int read_rows(struct pack_reader *r, int64_t i, const struct box *crop, int crops,
                     struct error *e)
{
    const struct pack_source *s = (const struct pack_source *)r->source;
    size_t row = 3 * (size_t)s->size[i].width, bytes = row * (size_t)s->size[i].height;
    double top = s->size[i].height, bottom = 0;
    for (int k = 0; k < crops; k++) {
        top = fmin(top, floor(crop[k].top));
        bottom = fmax(bottom, ceil(crop[k].top + crop[k].height));
    }
    top = fmax(0, top);
    bottom = fmin(s->size[i].height, bottom);
    if (!(top < bottom)) { // a box of nothing: whoever looks finds all
        top = 0;
        bottom = s->size[i].height;
    }
    if (memory_room(r->pixel, r->room, bytes) < 0)
        return error_memory(e, "an image of %zu bytes", bytes);
    size_t first = (size_t)top * row, n = (size_t)(bottom - top) * row;
    return read_at(s->fd, s->path, s->at[i] + first, r->pixel + first, n, e);
}

static int read_one(struct pictures_reader *reader, int64_t i, const struct box *crop, int crops,
                    int out_h, int out_w, struct picture *picture, struct box *box, struct error *e)
{
    struct pack_reader *r = (struct pack_reader *)reader;
    const struct pack_source *s = (const struct pack_source *)r->source;
    if (read_rows(r, i, crop, crops, e) < 0)
        return PICTURES_FAILED;
    *picture = (struct picture){.pixel = r->pixel,
                                .channels = 3,
                                .height = s->size[i].height,
                                .width = s->size[i].width,
                                .row = (size_t)s->size[i].width * 3,
                                .plane = 1,
                                .step = 3};
    memcpy(box, crop, (size_t)crops * sizeof *box);
    return 0;
}

static void name_of(const struct pictures *base, int64_t i, char *text, size_t size)
{
    snprintf(text, size, "image %" PRId64, i);
}

static void free_source(struct pictures *base)
{
    struct pack_source *s = (struct pack_source *)base;
    pictures_release(base);
    if (s->fd >= 0)
        close(s->fd);
    free(s->path);
    memory_free(&s->memory);
    free(s);
}

static const struct pictures_ops pack_ops = {reader_new, read_one, reader_free, name_of,
                                             free_source};

// --- opening ---

static int check_head(const struct pack_head *h, uint64_t file, const char *path, struct error *e)
{
    if (memcmp(h->magic, PACK_MAGIC, sizeof h->magic) != 0 && other_file_refused(path, e) < 0)
        return -1;
    if (memcmp(h->magic, PACK_MAGIC, sizeof h->magic) != 0)
        return error_set(e, "%.300s is not a packed file: no %s at byte 0", path, PACK_MAGIC);
    if (h->version != PACK_VERSION)
        return error_set(e, "%.300s has version %" PRIu32 " at byte 8, expected %d", path,
                         h->version, PACK_VERSION);
    if (h->index_at == 0)
        return error_set(e, "%.300s is not finished: the command pack goes on with it", path);
    if (h->crc != (uint32_t)crc32_z(0, (const Bytef *)h, offsetof(struct pack_head, crc)))
        return error_set(e, "%.300s has a damaged head: wrong checksum", path);
    uint64_t bytes = h->index_bytes, entries = 0;
    for (int s = 0; s < SPLIT_COUNT; s++) {
        if (h->n[s] < 0 || h->n[s] > INT32_MAX)
            return error_set(e, "%.300s claims %" PRId64 " images", path, h->n[s]);
        entries += (uint64_t)h->n[s] * sizeof(struct pack_entry);
    }
    if (h->n[SPLIT_TRAIN] == 0)
        return error_set(e, "%.300s has no training images", path);
    if (bytes > file || h->index_at > file - bytes || entries > bytes)
        return error_set(e,
                         "%.300s is cut off: it has %" PRIu64 " bytes, its index of %" PRIu64
                         " begins at byte %" PRIu64,
                         path, file, bytes, h->index_at);
    return 0;
}

// An entry must be an image that lies before the index and has one of the classes.
static int take_entry(struct pack_source *s, int64_t i, const struct pack_entry *x,
                      const struct pack_head *h, const char *path, struct error *e)
{
    uint64_t bytes = 3 * (uint64_t)(uint32_t)x->height * (uint64_t)(uint32_t)x->width;
    if (x->height < 1 || x->width < 1 || x->height > 65535 || x->width > 65535 || x->label < -1 ||
        x->label >= (h->classes ? h->classes : 1) || x->at < sizeof *h || bytes > h->index_at ||
        x->at > h->index_at - bytes)
        return error_set(
            e, "%.300s is damaged: image %" PRId64 " of %dx%d pixels cannot lie at byte %" PRIu64,
            path, i, x->width, x->height, x->at);
    s->at[i] = x->at;
    s->size[i] = (struct pictures_size){x->height, x->width};
    s->label[i] = h->classes ? x->label : -1;
    return 0;
}

static int open_split(int fd, const struct pack_head *h, const uint8_t *index, enum split split,
                      const char *path, struct dataset *out, struct error *e)
{
    struct pack_source *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(e, "out of memory");
    size_t n = (size_t)h->n[split];
    pthread_mutex_init(&s->base.lock, NULL);
    s->base.ops = &pack_ops;
    s->base.n = h->n[split];
    s->base.crc = h->index_crc;
    s->at = memory_take(&s->memory, n, sizeof *s->at);
    s->size = memory_take(&s->memory, n, sizeof *s->size);
    s->label = memory_take(&s->memory, n, sizeof *s->label);
    s->path = strdup(path);
    s->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0); // each split closes its own
    int rc = pictures_init(&s->base, e);
    if (rc == 0 && s->fd < 0)
        rc = error_system(e, "cannot open %.300s twice", path);
    if (rc == 0 && (s->memory.failed || !s->path))
        rc = error_memory(e, "%zu images", n);
    size_t before = split == SPLIT_TEST ? (size_t)h->n[SPLIT_TRAIN] : 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct pack_entry x;
        memcpy(&x, index + (before + i) * sizeof x, sizeof x);
        rc = take_entry(s, (int64_t)i, &x, h, path, e);
    }
    if (rc < 0) {
        free_source(&s->base);
        return -1;
    }
    s->base.size = s->size;
    s->base.labels = h->classes ? s->label : NULL;
    out->split[split] = (struct dataset_split){
        .n = s->base.n, .labels = h->classes ? s->label : NULL, .source = &s->base};
    return 0;
}

// Behind the entries there is a name for every class: only so many are believed.
static int check_names(const struct pack_head *h, const uint8_t *index, const char *path,
                       struct error *e)
{
    size_t at = (size_t)(h->n[SPLIT_TRAIN] + h->n[SPLIT_TEST]) * sizeof(struct pack_entry);
    size_t n = h->index_bytes, names = 0;
    int whole = at == n || index[n - 1] == '\0';
    for (; at < n; at++)
        names += index[at] == '\0';
    if (whole && h->classes >= 0 && names == (size_t)h->classes)
        return 0;
    return error_set(e, "%.300s is damaged: %" PRId32 " classes, but %zu names%s", path, h->classes,
                     names, whole ? "" : " and a part of one");
}

// Entries and names, malloc'd, also where they are no good; no more than the file has.
static int read_index(int fd, const struct pack_head *h, const char *path, uint8_t **out,
                      struct error *e)
{
    uint8_t *index = malloc(h->index_bytes);
    if (!index)
        return error_memory(e, "an index of %" PRIu64 " bytes", h->index_bytes);
    int rc = read_at(fd, path, h->index_at, index, h->index_bytes, e);
    if (rc == 0 && (uint32_t)crc32_z(0, index, h->index_bytes) != h->index_crc)
        rc = error_set(e, "%.300s has a damaged index: wrong checksum", path);
    if (rc == 0)
        rc = check_names(h, index, path, e);
    *out = index; // the caller frees it
    return rc;
}

int pack_open(const char *path, uint64_t seed, struct dataset *out, struct error *e)
{
    struct pack_head h = {0};
    struct stat st;
    uint8_t *index = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_system(e, "cannot open %.300s", path);
    int rc = 0;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        rc = error_set(e, "%.300s is not a file", path);
    else if (pread(fd, &h, sizeof h, 0) != (ssize_t)sizeof h)
        rc = other_file_refused(path, e) < 0
                 ? -1
                 : error_set(e, "%.300s is not a packed file: shorter than its head", path);
    if (rc == 0)
        rc = check_head(&h, (uint64_t)st.st_size, path, e);
    if (rc == 0)
        rc = read_index(fd, &h, path, &index, e);
    for (int s = 0; s < SPLIT_COUNT && rc == 0; s++)
        if (h.n[s] > 0)
            rc = open_split(fd, &h, index, (enum split)s, path, out, e);
    free(index);
    close(fd);
    if (rc < 0)
        return -1;
    out->channels = 3;
    out->height = out->width = out->side ? out->side : SIDE;
    out->classes = h.classes;
    for (int c = 0; c < 3; c++)
        if (!(h.mean[c] >= 0 && h.mean[c] <= 1) || !(h.std[c] > 0 && h.std[c] <= 1))
            return error_set(e, "%.300s has no usable mean and deviation of its pixels", path);
    memcpy(out->mean, h.mean, sizeof h.mean);
    memcpy(out->std, h.std, sizeof h.std);
    return 0;
}
