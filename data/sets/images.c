// A folder of images as a source: its files' sizes and orientations are kept, their pixels are read
// when they are asked for.
#include "data/sets/images.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "data/photos/decode.h"
#include "data/sets/folder.h"
#include "data/sets/labels.h"
#include "data/sets/splits.h"
#include "data/parallel.h"
#include "metrics/base/text.h"

enum { SIDE = 224 };

struct images_source {
    struct pictures base;
    int root; // the open folder that paths begin at
    struct folder folder;
    int classes;      // of the training images
    char labels[256]; // the file of them below root, "" for none
    int threads;      // that look at heads; 0: all cores
    struct pictures_size *size;
    int32_t *label;
    uint8_t *kind; // orientation, and above it the kind of file
};

// --- reading one ---

struct images_reader {
    struct pictures *source; // first, see data/photos/pictures.h
    struct decoder *decoder;
};

static int reader_new(struct pictures *s, struct pictures_reader **out, struct error *e)
{
    struct images_reader *r = calloc(1, sizeof *r);
    if (!r)
        return error_set(e, "out of memory");
    r->source = s;
    if (decoder_new(&r->decoder, e) < 0) {
        free(r);
        return -1;
    }
    *out = (struct pictures_reader *)r;
    return 0;
}

static void reader_free(struct pictures_reader *reader)
{
    struct images_reader *r = (struct images_reader *)reader;
    decoder_free(r->decoder);
    free(r);
}

_Static_assert((int)DECODE_UNABLE == (int)PICTURES_FAILED, "what a decoder says is passed on");

// -1: this file cannot be opened; PICTURES_FAILED: none can.
static int open_image(const struct images_source *s, int64_t i, struct error *e)
{
    int fd, why;
    do {
        fd = openat(s->root, folder_path(&s->folder, i), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        why = errno;
    } while (fd < 0 && why == EINTR);
    if (fd >= 0)
        return fd;
    error_number(e, why, "cannot be opened");
    return decode_blame(why);
}

static int read_one(struct pictures_reader *reader, int64_t i, const struct box *crop, int crops,
                    int out_h, int out_w, struct picture *picture, struct box *box, struct error *e)
{
    struct images_reader *r = (struct images_reader *)reader;
    struct images_source *s = (struct images_source *)r->source;
    const uint8_t *data = NULL;
    size_t n = 0;
    int fd = open_image(s, i, e);
    if (fd < 0)
        return fd;
    int rc = decoder_read(r->decoder, fd, &data, &n, e);
    close(fd);
    if (rc < 0)
        return rc;
    struct decode_head head = {.kind = s->kind[i] >> 4, .orientation = s->kind[i] & 15};
    int turned = head.orientation >= 5;
    head.height = turned ? s->size[i].width : s->size[i].height;
    head.width = turned ? s->size[i].height : s->size[i].width;
    return decoder_run(r->decoder, &head, data, n, crop, crops, out_h, out_w, picture, box, e);
}

static void name_of(const struct pictures *base, int64_t i, char *text, size_t size)
{
    const struct images_source *s = (const struct images_source *)base;
    snprintf(text, size, "%s", folder_path(&s->folder, i));
}

static void free_source(struct pictures *base)
{
    struct images_source *s = (struct images_source *)base;
    pictures_release(&s->base);
    folder_free(&s->folder);
    free(s->size);
    free(s->label);
    free(s->kind);
    if (s->root >= 0)
        close(s->root);
    free(s);
}

static const struct pictures_ops images_ops = {reader_new, read_one, reader_free, name_of,
                                               free_source};

// --- opening all ---

struct look {
    int64_t bytes; // of the file; -1: broken, and why
    char *why;
};

struct looking {
    struct images_source *s;
    struct look *look;
};

// -1: not for what the image is.
static int look_at(void *context, int64_t i, struct error *e)
{
    struct looking *l = context;
    struct images_source *s = l->s;
    struct decode_head head;
    struct error why = {"is not a file"};
    struct stat st;
    int height, width, fd = open_image(s, i, &why), rc = fd;
    if (fd >= 0) {
        rc = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? decode_head(fd, &head, &why) : -1;
        close(fd);
    }
    if (rc >= 0) {
        decode_upright(&head, &height, &width);
        s->size[i] = (struct pictures_size){height, width};
        s->kind[i] = (uint8_t)(head.kind << 4 | head.orientation);
        l->look[i].bytes = st.st_size;
        return 0;
    }
    l->look[i].bytes = -1;
    l->look[i].why = strdup(why.text);
    if (rc >= -1 && l->look[i].why)
        return 0;
    return error_set(e, "%.200s: %.200s", folder_path(&s->folder, i), why.text);
}

// Leave out what has no head.
static void compact(struct images_source *s, struct look *look)
{
    struct folder *f = &s->folder;
    int64_t n = 0;
    for (int64_t i = 0; i < f->n; i++) {
        if (look[i].bytes < 0) {
            pictures_drop(&s->base, folder_path(f, i), look[i].why);
            continue;
        }
        f->file[n] = f->file[i];
        s->size[n] = s->size[i];
        s->kind[n] = s->kind[i];
        s->label[n] = f->file[i].label;
        look[n++].bytes = look[i].bytes;
    }
    s->base.n = f->n = n;
}

// A name begins with its class, and classes are in order: what names do not say of labels is which
// classes between them have no image. (So a set without such a class keeps the checksum that it had
// when labels were left out, and with it its checkpoints.)
static uint32_t checksum(const struct images_source *s, const struct look *look)
{
    uLong crc = crc32_z(0, NULL, 0);
    int32_t next = 0; // class
    for (int64_t i = 0; i < s->base.n; i++) {
        const char *path = folder_path(&s->folder, i);
        for (; next < s->label[i]; next++)
            crc = crc32_z(crc, (const Bytef *)&next, sizeof next);
        next = s->label[i] + 1;
        crc = crc32_z(crc, (const Bytef *)path, strlen(path) + 1);
        crc = crc32_z(crc, (const Bytef *)&look[i].bytes, sizeof look[i].bytes);
        crc = crc32_z(crc, (const Bytef *)&s->size[i], sizeof s->size[i]);
        if (*s->labels) // names do not say them
            crc = crc32_z(crc, (const Bytef *)&s->label[i], sizeof s->label[i]);
    }
    for (; next < s->classes; next++)
        crc = crc32_z(crc, (const Bytef *)&next, sizeof next);
    return (uint32_t)crc;
}

static int look_at_all(struct images_source *s, struct error *e)
{
    size_t n = (size_t)s->folder.n;
    s->size = calloc(n, sizeof *s->size);
    s->label = calloc(n, sizeof *s->label);
    s->kind = calloc(n, 1);
    struct looking l = {.s = s, .look = calloc(n, sizeof *l.look)};
    if (!s->size || !s->label || !s->kind || !l.look) {
        free(l.look);
        return error_memory(e, "%zu images", n);
    }
    int rc = parallel_run(s->threads, (int64_t)n, look_at, &l, e);
    if (rc == 0) {
        compact(s, l.look);
        s->base.size = s->size;
        s->base.labels = s->folder.classes || *s->labels ? s->label : NULL;
        s->base.crc = checksum(s, l.look);
    }
    for (size_t i = 0; i < n; i++)
        free(l.look[i].why);
    free(l.look);
    return rc < 0 ? -1 : pictures_init(&s->base, e);
}

// `said`: what there is to say before, or "".
static int take_notice(struct images_source *s, const char *name, const char *said, struct error *e)
{
    char text[800], clean[800];
    size_t n = (size_t)snprintf(text, sizeof text, "%.390s%s", said, *said ? "; " : "");
    folder_notice(&s->folder, name, text + n, sizeof text - n);
    if (!text[n] && n) // nothing follows
        text[n - 2] = '\0';
    if (*s->labels)
        text_item(text, sizeof text, "; ", "%.60s has its labels from %.100s", name, s->labels);
    else if (s->classes && !s->folder.classes)
        text_item(text, sizeof text, "; ",
                  "%.60s has no folders of classes: its images have no labels, and nothing is "
                  "probed",
                  name);
    text_clean(clean, sizeof clean, text);
    s->base.notice = *clean ? strdup(clean) : NULL;
    return !*clean || s->base.notice ? 0 : error_set(e, "out of memory");
}

// The files of one split, and their labels: from their folders, or where these are no classes from
// a file that has them.
static int find_files(struct images_source *s, const char *name, const struct folder *known,
                      struct error *e)
{
    char file[sizeof s->labels];
    struct error why = {""};
    int rc = folder_read(s->root, name, known, NULL, &s->folder, &why);
    if (!known || (rc == 0 && s->folder.classes) ||
        !labels_find(s->root, name, file, sizeof file)) {
        if (rc < 0 && e)
            *e = why;
        return rc;
    }
    const char *slash = strrchr(file, '/');
    folder_free(&s->folder);
    memcpy(s->labels, file, sizeof file);
    rc = folder_read(s->root, name, known, slash ? slash + 1 : file, &s->folder, e);
    return rc < 0 ? -1 : labels_read(s->root, file, known, &s->folder, e);
}

// One split: NAME below the open folder.
static int open_split(int root, const char *name, const struct folder *known, const char *said,
                      int threads, struct images_source **out, struct error *e)
{
    struct images_source *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(e, "out of memory");
    s->base.ops = &images_ops;
    pthread_mutex_init(&s->base.lock, NULL);
    s->root = fcntl(root, F_DUPFD_CLOEXEC, 0);
    int rc = s->root >= 0 ? find_files(s, name, known, e)
                          : error_system(e, "cannot open the folder twice");
    s->threads = threads;
    s->classes = known ? known->classes : s->folder.classes;
    if (rc < 0 || take_notice(s, name, said, e) < 0 || look_at_all(s, e) < 0 ||
        pictures_check(&s->base, e) < 0) {
        free_source(&s->base);
        return -1;
    }
    *out = s;
    return 0;
}

static void give(struct dataset_split *to, struct images_source *s)
{
    to->n = s->base.n;
    to->source = &s->base;
    to->labels = s->base.labels ? s->label : NULL; // borrowed: dataset_close knows
}

static int open_splits(const struct splits *p, struct dataset *out, struct error *e)
{
    struct images_source *train, *test;
    if (open_split(p->root, p->train ? p->train : ".", NULL, p->notice, out->threads, &train, e) <
        0)
        return -1;
    give(&out->split[SPLIT_TRAIN], train);
    out->classes = train->folder.classes;
    if (!p->train || !p->test)
        return 0;
    if (open_split(p->root, p->test, train->folder.classes ? &train->folder : NULL, "",
                   out->threads, &test, e) < 0)
        return -1;
    give(&out->split[SPLIT_TEST], test);
    if (!out->classes) // those of images to test on are no classes of this set
        out->split[SPLIT_TEST].labels = NULL, test->base.labels = NULL;
    return 0;
}

int images_open(const char *dir, uint64_t seed, struct dataset *out, struct error *e)
{
    struct splits splits;
    int rc = splits_find(dir, &splits, e);
    if (rc == 0) {
        rc = open_splits(&splits, out, e);
        splits_free(&splits);
    }
    if (rc < 0)
        return error_prefix(e, "images:%.200s", dir);
    out->channels = 3;
    out->height = out->width = out->side ? out->side : SIDE;
    return 0;
}

int images_opened(const struct dataset *d)
{
    const struct pictures *s = d->split[SPLIT_TRAIN].source;
    return s && s->ops == &images_ops;
}

const char *images_class(const struct dataset *d, int label)
{
    if (!images_opened(d) || label < 0)
        return NULL;
    const struct images_source *s = (const struct images_source *)d->split[SPLIT_TRAIN].source;
    return label < s->folder.classes ? s->folder.class_name[label] : NULL;
}
