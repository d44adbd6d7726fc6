// A packed file as a source: a picture is a place in the mapped file. Nothing in it is believed
// until it was compared with the size of the file.
#include "data/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { SIDE = 224 };

struct pack_source {
    struct pictures base;
    const uint8_t *map;
    size_t map_size;
    uint64_t *at;
    struct pictures_size *size;
    int32_t *label;
};

struct pack_reader {
    struct pictures *source; // first, see data/pictures.h
};

static int reader_new(struct pictures *s, struct pictures_reader **out, struct error *e)
{
    struct pack_reader *r = malloc(sizeof *r);
    if (!r)
        return error_set(e, "out of memory");
    r->source = s;
    *out = (struct pictures_reader *)r;
    return 0;
}

static void reader_free(struct pictures_reader *r)
{
    free(r);
}

static int read_one(struct pictures_reader *reader, int64_t i, const struct box *crop, int crops,
                    int out_h, int out_w, struct picture *picture, struct box *box, struct error *e)
{
    const struct pack_source *s = (struct pack_source *)((struct pack_reader *)reader)->source;
    *picture = (struct picture){.pixel = s->map + s->at[i],
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
    if (s->map)
        munmap((void *)(uintptr_t)s->map, s->map_size);
    free(s->at);
    free(s->size);
    free(s->label);
    free(s);
}

static const struct pictures_ops pack_ops = {reader_new, read_one, reader_free, name_of,
                                             free_source};

// --- opening ---

static int check_head(const struct pack_head *h, uint64_t file, const char *path, struct error *e)
{
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
    if (bytes > file || h->index_at > file - bytes || entries > bytes || h->classes < 0 ||
        h->n[SPLIT_TRAIN] == 0)
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

static int open_split(int fd, const struct pack_head *h, size_t file, enum split split,
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
    s->at = malloc(n * sizeof *s->at);
    s->size = malloc(n * sizeof *s->size);
    s->label = malloc(n * sizeof *s->label);
    void *map = mmap(NULL, file, PROT_READ, MAP_SHARED, fd, 0);
    int rc = pictures_init(&s->base, e);
    if (map == MAP_FAILED)
        rc = error_set(e, "cannot map %.300s into memory: %s", path, strerror(errno));
    else
        s->map = map;
    s->map_size = file;
    if (rc == 0 && (!s->at || !s->size || !s->label))
        rc = error_set(e, "out of memory for %zu images", n);
    size_t before = split == SPLIT_TEST ? (size_t)h->n[SPLIT_TRAIN] : 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct pack_entry x;
        memcpy(&x, s->map + h->index_at + (before + i) * sizeof x, sizeof x);
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

static int check_index(int fd, const struct pack_head *h, const char *path, struct error *e)
{
    uint8_t block[1 << 16];
    uLong crc = crc32_z(0, NULL, 0);
    uint64_t at = h->index_at, end = h->index_at + h->index_bytes;
    while (at < end) {
        size_t ask = end - at < sizeof block ? (size_t)(end - at) : sizeof block;
        ssize_t got = pread(fd, block, ask, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return error_set(e, "cannot read %.300s at byte %" PRIu64 ": %s", path, at,
                             got < 0 ? strerror(errno) : "it has become shorter");
        crc = crc32_z(crc, block, (size_t)got);
        at += (uint64_t)got;
    }
    return (uint32_t)crc == h->index_crc
               ? 0
               : error_set(e, "%.300s has a damaged index: wrong checksum", path);
}

int pack_open(const char *path, uint64_t seed, struct dataset *out, struct error *e)
{
    struct pack_head h = {0};
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_set(e, "cannot open %.300s: %s", path, strerror(errno));
    int rc = 0;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        rc = error_set(e, "%.300s is not a file", path);
    else if (pread(fd, &h, sizeof h, 0) != (ssize_t)sizeof h)
        rc = error_set(e, "%.300s is not a packed file: shorter than its head", path);
    if (rc == 0)
        rc = check_head(&h, (uint64_t)st.st_size, path, e);
    if (rc == 0)
        rc = check_index(fd, &h, path, e);
    for (int s = 0; s < SPLIT_COUNT && rc == 0; s++)
        if (h.n[s] > 0)
            rc = open_split(fd, &h, (size_t)st.st_size, (enum split)s, path, out, e);
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
