// Packing: workers decode images a few ahead of the one thread that writes them in order, so that
// memory is bounded, the file does not depend on the number of threads, and what is there after a
// kill is a beginning that can be gone on with.
#include "data/sets/pack.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "data/resize.h"
#include "data/sets/images.h"
#include "metrics/base/clock.h"
#include "metrics/base/cores.h"
#include "metrics/base/file.h"
#include "metrics/base/memory.h"

enum { AHEAD = 4, TELL_MS = 100, STOPPED = 1 };

// One image as it goes into the file.
struct image {
    struct pack_record record;
    uint8_t *pixel; // height x width x 3, malloc'd; NULL: broken, and in the ledger of its source
};

// A place for one image between a worker and the writer.
struct place {
    struct image image;
    int ready, failed;
    struct error why; // of failed: not the image's fault
};

struct pixels {
    uint8_t *pixel;
    size_t room;
};

struct packing {
    struct dataset *d;
    const struct pack_options *o;
    struct pack_progress progress;
    int fd;
    struct file file;
    uint64_t end; // where the next record goes
    struct pack_head head;
    struct pack_entry *entry;
    int64_t n_entries, first_test; // entries so far; those of the training images
    // Between the threads.
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct place *place;
    int places, stop;
    int64_t next, written; // image to be claimed; images that are in the file
};

// ---------------------------------------------------------------- images

// Image i of `s`, all of it, with a shorter side of at most `size`. -1: it could not be made, and
// that is not its fault.
static int make_image(struct pictures_reader *reader, const struct pictures *s, int64_t i, int size,
                      struct image *out, struct error *e)
{
    struct picture picture;
    struct box whole = {0, 0, s->size[i].height, s->size[i].width}, box;
    struct error why = {""};
    double by = fmin(1.0, size / fmin(whole.height, whole.width));
    int height = (int)fmax(1, rint(whole.height * by)),
        width = (int)fmax(1, rint(whole.width * by));
    *out = (struct image){{PACK_RECORD, 0, 0, s->labels ? s->labels[i] : -1, 0}, NULL};
    int rc = pictures_try(reader, i, &whole, 1, height, width, &picture, &box, &why);
    if (rc < 0)
        return rc == PICTURES_FAILED ? error_pass(e, &why) : 0;
    size_t bytes = 3 * (size_t)height * (size_t)width;
    uint8_t *pixel = malloc(bytes);
    if (!pixel)
        return error_memory(e, "an image of %zu bytes", bytes);
    if (resizer_bytes(&picture, &box, height, width, pixel, e) < 0) {
        free(pixel);
        return -1;
    }
    out->pixel = pixel;
    out->record.height = height;
    out->record.width = width;
    out->record.crc = (uint32_t)crc32_z(0, pixel, bytes);
    return 0;
}

// Image k of both splits: whose it is.
static struct pictures *pictures_at(const struct packing *p, int64_t k, int64_t *i)
{
    int64_t n = p->head.planned[SPLIT_TRAIN];
    *i = k < n ? k : k - n;
    return p->d->split[k < n ? SPLIT_TRAIN : SPLIT_TEST].source;
}

static int claim(struct packing *p, int64_t n, int64_t *k)
{
    pthread_mutex_lock(&p->lock);
    while (!p->stop && p->next < n && p->next >= p->written + p->places)
        pthread_cond_wait(&p->changed, &p->lock);
    int some = !p->stop && p->next < n;
    *k = some ? p->next++ : 0;
    pthread_mutex_unlock(&p->lock);
    return some;
}

static void *work(void *argument)
{
    struct packing *p = argument;
    struct pictures_reader *reader[SPLIT_COUNT] = {0};
    struct error why = {""};
    int64_t k, n = p->head.planned[SPLIT_TRAIN] + p->head.planned[SPLIT_TEST];
    int rc = 0;
    for (int s = 0; s < SPLIT_COUNT && rc == 0; s++)
        if (p->d->split[s].source)
            rc = pictures_reader_new(p->d->split[s].source, &reader[s], &why);
    while (claim(p, n, &k)) {
        int64_t i;
        struct pictures *s = pictures_at(p, k, &i);
        struct place *to = &p->place[k % p->places];
        struct place made = {0};
        if (rc == 0)
            rc = make_image(reader[s == p->d->split[SPLIT_TEST].source], s, i, p->o->size,
                            &made.image, &why);
        made.failed = rc < 0;
        made.why = why;
        made.ready = 1;
        pthread_mutex_lock(&p->lock);
        *to = made;
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->lock);
    }
    for (int s = 0; s < SPLIT_COUNT; s++)
        pictures_reader_free(reader[s]);
    return NULL;
}

// ---------------------------------------------------------------- the file

static int write_at(struct packing *p, uint64_t at, const void *from, size_t n, struct error *e)
{
    return file_write_at(p->fd, from, n, at) == n ? 0 : file_failed(&p->file, e);
}

static size_t pixels_of(const struct pack_record *r)
{
    return 3 * (size_t)r->height * (size_t)r->width;
}

// Image number p->progress.done is in the file, at p->end.
static void count(struct packing *p, const struct pack_record *r)
{
    if (r->height)
        p->entry[p->n_entries++] = (struct pack_entry){
            .at = p->end + sizeof *r, .height = r->height, .width = r->width, .label = r->label};
    else
        p->progress.broken++;
    p->end += sizeof *r + pixels_of(r);
    p->progress.bytes = p->end;
    if (++p->progress.done == p->head.planned[SPLIT_TRAIN])
        p->first_test = p->n_entries;
}

// One whole record at `at`, which must be what image k would give. 0: it is not. -1: out of memory.
static int record_holds(struct packing *p, uint64_t at, uint64_t file, int64_t k,
                        struct pack_record *r, struct pixels *to, struct error *e)
{
    int64_t i;
    const struct pictures *s = pictures_at(p, k, &i);
    if (file - at < sizeof *r || pread(p->fd, r, sizeof *r, (off_t)at) != (ssize_t)sizeof *r ||
        r->magic != PACK_RECORD || r->height < 0 || r->width < 0 || r->height > 65535 ||
        r->width > 65535 || r->label != (s->labels ? s->labels[i] : -1))
        return 0;
    size_t n = pixels_of(r);
    if (n > file - at - sizeof *r)
        return 0;
    if (memory_room(to->pixel, to->room, n) < 0)
        return error_memory(e, "an image of %zu bytes", n);
    return pread(p->fd, to->pixel, n, (off_t)(at + sizeof *r)) == (ssize_t)n &&
           (uint32_t)crc32_z(0, to->pixel, n) == r->crc;
}

// Image k was broken in an earlier call. 1: it is so still, and is in the ledger of this one.
static int still_broken(struct packing *p, int64_t k, struct error *e)
{
    int64_t i;
    struct pictures *s = pictures_at(p, k, &i);
    struct pictures_reader *reader;
    struct image made = {0};
    if (pictures_reader_new(s, &reader, e) < 0)
        return -1;
    int rc = make_image(reader, s, i, p->o->size, &made, e);
    pictures_reader_free(reader);
    int broken = !made.pixel;
    free(made.pixel);
    return rc < 0 ? -1 : broken;
}

// More broken images than one may leave out.
static int check_ledgers(const struct packing *p, struct error *e)
{
    for (int s = 0; s < SPLIT_COUNT; s++)
        if (p->d->split[s].source && pictures_check(p->d->split[s].source, e) < 0)
            return -1;
    return 0;
}

static int told_to_stop(const struct packing *p)
{
    return p->o->tell && p->o->tell(p->o->context, &p->progress) != 0;
}

// Whether a head is of the same images and options; it may be that of a whole file.
static int same_source(const struct pack_head *a, const struct pack_head *b)
{
    return memcmp(a, b, offsetof(struct pack_head, n)) == 0 && a->classes == b->classes &&
           memcmp(a->mean, b->mean, sizeof a->mean) == 0 &&
           memcmp(a->std, b->std, sizeof a->std) == 0;
}

// Count the records that hold, in order. A broken image that can be read now ends them, as it
// would have a place here. Nothing is written. 1: stopped.
static int take_records(struct packing *p, uint64_t file, struct error *e)
{
    int64_t n = p->head.planned[SPLIT_TRAIN] + p->head.planned[SPLIT_TEST];
    struct pack_record r;
    struct pixels pixels = {0};
    int rc = 0;
    while (rc == 0 && p->progress.done < n) {
        int64_t k = p->progress.done;
        int holds = record_holds(p, p->end, file, k, &r, &pixels, e);
        if (holds > 0 && !r.height)
            holds = still_broken(p, k, e);
        if (holds <= 0) {
            rc = holds;
            break;
        }
        count(p, &r);
        p->progress.resumed = p->progress.done;
        rc = check_ledgers(p, e);
        if (rc == 0 && told_to_stop(p))
            rc = STOPPED;
    }
    free(pixels.pixel);
    return rc;
}

// Whether what is there begins as a pack does, as far as it goes.
static int is_a_pack(const struct packing *p, uint64_t file)
{
    struct pack_head h;
    size_t n = file < sizeof h.magic ? (size_t)file : sizeof h.magic;
    return pread(p->fd, h.magic, n, 0) == (ssize_t)n && memcmp(h.magic, p->head.magic, n) == 0;
}

// Go on with what a file of the same head holds; what is behind that (a broken tail, an index) is
// cut off. It begins as a pack at every moment.
static int take_up(struct packing *p, struct error *e)
{
    struct pack_head h;
    struct stat st;
    if (fstat(p->fd, &st) != 0)
        return error_system(e, "cannot look at %.300s", p->o->path);
    uint64_t file = (uint64_t)st.st_size;
    if (!is_a_pack(p, file))
        return error_set(e,
                         "can't write %.300s: the file of this name and .part is not of an "
                         "earlier call; move it away",
                         p->o->path);
    p->end = sizeof h;
    int same = file >= sizeof h && pread(p->fd, &h, sizeof h, 0) == (ssize_t)sizeof h &&
               same_source(&h, &p->head);
    int rc = same ? take_records(p, file, e) : 0;
    if (rc != 0)
        return rc;
    if (ftruncate(p->fd, same ? (off_t)p->end : 0) != 0)
        return file_failed(&p->file, e);
    return write_at(p, 0, &p->head, sizeof p->head, e);
}

static int put_image(struct packing *p, const struct image *i, struct error *e)
{
    const struct pack_record *r = &i->record;
    if (write_at(p, p->end, r, sizeof *r, e) < 0 ||
        write_at(p, p->end + sizeof *r, i->pixel, pixels_of(r), e) < 0)
        return -1;
    count(p, r);
    return check_ledgers(p, e);
}

// Images in order, as they become ready. 1: stopped.
static int write_images(struct packing *p, struct error *e)
{
    int64_t n = p->head.planned[SPLIT_TRAIN] + p->head.planned[SPLIT_TEST];
    int rc = 0;
    for (int64_t k = p->written; k < n && rc == 0;) {
        struct place *at = &p->place[k % p->places], got = {0};
        double until = clock_seconds() + 1e-3 * TELL_MS;
        pthread_mutex_lock(&p->lock);
        while (!at->ready && clock_wait(&p->changed, &p->lock, until) == 0)
            ;
        if (at->ready) {
            got = *at;
            memset(at, 0, sizeof *at);
        }
        pthread_mutex_unlock(&p->lock);
        if (got.failed) {
            error_pass(e, &got.why);
            rc = -1;
        } else if (got.ready) {
            rc = put_image(p, &got.image, e);
            k++;
            pthread_mutex_lock(&p->lock);
            p->written = k;
            pthread_cond_broadcast(&p->changed);
            pthread_mutex_unlock(&p->lock);
        }
        free(got.image.pixel);
        if (rc == 0 && told_to_stop(p))
            rc = STOPPED;
    }
    return rc;
}

// Class names, each with its NUL.
static char *class_names(const struct packing *p, size_t *n)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, n);
    if (!f)
        return NULL;
    for (int c = 0; c < p->d->classes; c++) {
        const char *name = images_class(p->d, c);
        fwrite(name ? name : "", 1, strlen(name ? name : "") + 1, f);
    }
    if (fclose(f) == 0)
        return text;
    free(text);
    return NULL;
}

// The index behind the last image, then the head that says where it is, then the name.
static int finish(struct packing *p, struct error *e)
{
    struct pack_head h = p->head;
    size_t entries = (size_t)p->n_entries * sizeof *p->entry, names = 0;
    char *name = class_names(p, &names);
    if (!name)
        return error_memory(e, "the names of %d classes", p->d->classes);
    h.n[SPLIT_TRAIN] = p->first_test;
    h.n[SPLIT_TEST] = p->n_entries - p->first_test;
    h.index_at = p->end;
    h.index_bytes = entries + names;
    h.index_crc =
        (uint32_t)crc32_z(crc32_z(0, (const Bytef *)p->entry, entries), (const Bytef *)name, names);
    h.crc = (uint32_t)crc32_z(0, (const Bytef *)&h, offsetof(struct pack_head, crc));
    int rc = write_at(p, p->end, p->entry, entries, e) < 0
                 ? -1
                 : write_at(p, p->end + entries, name, names, e);
    free(name);
    return rc < 0 || file_sync(&p->file, e) < 0 ? -1 : write_at(p, 0, &h, sizeof h, e);
}

// ---------------------------------------------------------------- the whole

static int run(struct packing *p, struct error *e)
{
    pthread_t thread[PACK_THREADS_MAX];
    int wanted = p->o->threads > 0 ? p->o->threads : cores_usable(), started = 0;
    wanted = wanted < PACK_THREADS_MAX ? wanted : PACK_THREADS_MAX;
    p->places = AHEAD * wanted;
    p->place = calloc((size_t)p->places, sizeof *p->place);
    if (!p->place)
        return error_set(e, "out of memory");
    p->next = p->written = p->progress.done;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (started < wanted && pthread_create(&thread[started], NULL, work, p) == 0)
        started++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    int rc = started ? write_images(p, e) : error_set(e, "cannot start a thread");
    pthread_mutex_lock(&p->lock);
    p->stop = 1;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < p->places; i++)
        free(p->place[i].image.pixel);
    return rc;
}

static int prepare(struct packing *p, struct error *e)
{
    const struct dataset *d = p->d;
    struct pack_head *h = &p->head;
    memcpy(h->magic, PACK_MAGIC, sizeof h->magic);
    h->version = PACK_VERSION;
    h->size = (uint32_t)p->o->size;
    h->classes = d->classes;
    memcpy(h->mean, d->mean, sizeof h->mean);
    memcpy(h->std, d->std, sizeof h->std);
    for (int s = 0; s < SPLIT_COUNT; s++) {
        const struct pictures *source = d->split[s].source;
        h->planned[s] = source ? source->n : 0;
        h->source_crc[s] = source ? source->crc : 0;
        p->progress.n += h->planned[s];
    }
    p->entry = malloc((size_t)p->progress.n * sizeof *p->entry);
    if (!p->entry)
        return error_memory(e, "%" PRId64 " images", p->progress.n);
    if (file_create(&p->file, p->o->path, FILE_RESUME | FILE_DURABLE | FILE_ANYWHERE, e) < 0)
        return -1;
    p->fd = fileno(p->file.stream);
    return take_up(p, e);
}

int pack_write(struct dataset *d, const struct pack_options *o, struct pack_progress *out,
               struct error *e)
{
    struct packing p = {.d = d, .o = o, .fd = -1};
    memset(out, 0, sizeof *out);
    if (!d->split[SPLIT_TRAIN].source || !images_opened(d))
        return error_set(e, "%.200s cannot be packed: only images:DIR can", d->name);
    if (o->size < 1 || o->size > PACK_SIDE_MAX)
        return error_set(e, "a size of %d pixels, expected 1 to %d", o->size, PACK_SIDE_MAX);
    pthread_mutex_init(&p.lock, NULL);
    pthread_cond_init(&p.changed, NULL);
    int rc = prepare(&p, e);
    if (rc == 0)
        rc = run(&p, e);
    if (rc == 0 && p.first_test == 0)
        rc = error_set(e, "no training image could be read");
    if (rc == 0)
        rc = finish(&p, e);
    *out = p.progress;
    if (p.fd >= 0)
        rc = file_finish(&p.file, rc, e);
    pthread_cond_destroy(&p.changed);
    pthread_mutex_destroy(&p.lock);
    free(p.place);
    free(p.entry);
    return rc;
}
