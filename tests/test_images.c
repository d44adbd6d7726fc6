// Folders of images: classes and splits, files and folders that are not what they seem, broken
// images counted, named and replaced, the pool the same on any number of threads, and the packed
// file of a folder: whole, gone on with, damaged.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/dataset.h"
#include "data/pack.h"
#include "data/pictures.h"
#include "gpu/cpu/pixel_pool.h"
#include "gpu/device.h"
#include "gpu/staged.h"
#include "tests/pictures.h"
#include "tests/runs.h"
#include "train/method.h"
#include "train/options.h"

#define PHOTOGRAPHS "/usr/share/backgrounds" // lomiri-wallpapers-16.04

static const char *const class_name[] = {"ant", "bee", "cat"};
enum { CLASSES = 3, VIEW = 32 };

static void make_folder(const char *path)
{
    cr_assert(mkdir(path, 0700) == 0, "%s", path);
}

// dir/SPLIT/CLASS/NN.jpg, `each` in every class.
static void make_split(const char *dir, const char *split, int each, int seed)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", dir, split);
    make_folder(path);
    for (int c = 0; c < CLASSES; c++) {
        snprintf(path, sizeof path, "%s/%s/%s", dir, split, class_name[c]);
        make_folder(path);
        for (int i = 0; i < each; i++) {
            snprintf(path, sizeof path, "%s/%s/%s/%03d.jpg", dir, split, class_name[c], i);
            picture_jpeg(path, 50 + 7 * c + i % 5, 90 - i % 7, seed + 10 * c + i);
        }
    }
}

static void make_set(char dir[64], int each)
{
    scratch_make(dir);
    make_split(dir, "train", each, 1);
    make_split(dir, "val", 4, 5);
}

static int open_set(const char *kind, const char *path, struct dataset *d, struct error *e)
{
    char spec[200];
    snprintf(spec, sizeof spec, "%s:%s", kind, path);
    e->text[0] = '\0';
    return dataset_open_sized(spec, 1, VIEW, d, e);
}

static void expect_refused(const char *kind, const char *path, const char *a, const char *b)
{
    struct dataset d;
    struct error e;
    cr_expect_eq(open_set(kind, path, &d, &e), -1, "%s was accepted", path);
    cr_expect(strstr(e.text, a) && strstr(e.text, b), "no '%s' or '%s' in: %s", a, b, e.text);
}

Test(images, classes_and_splits)
{
    char dir[64], path[160];
    struct dataset d;
    struct error e;
    int h, w;
    int64_t first;
    make_set(dir, 5);
    // What is passed over, and what is found deeper, by a link, or with another ending.
    snprintf(path, sizeof path, "%s/train/bee/notes.txt", dir);
    picture_write(path, (const uint8_t *)"x", 1);
    snprintf(path, sizeof path, "%s/train/bee/.hidden.jpg", dir);
    picture_write(path, (const uint8_t *)"x", 1);
    snprintf(path, sizeof path, "%s/train/bee/more", dir);
    make_folder(path);
    snprintf(path, sizeof path, "%s/train/bee/more/late.JPEG", dir);
    picture_jpeg(path, 33, 44, 9);
    snprintf(path, sizeof path, "%s/train/bee/round", dir);
    cr_assert_eq(symlink("..", path), 0);
    snprintf(path, sizeof path, "%s/train/bee/more/self", dir);
    cr_assert_eq(symlink(".", path), 0);
    cr_assert_eq(open_set("images", dir, &d, &e), 0, "%s", e.text);
    cr_expect(d.channels == 3 && d.height == VIEW && d.width == VIEW && d.classes == CLASSES);
    const struct dataset_split *train = &d.split[SPLIT_TRAIN], *test = &d.split[SPLIT_TEST];
    cr_assert_eq(test->n, 4 * CLASSES);
    cr_expect_eq(train->n, 5 * CLASSES + 1);
    cr_expect_eq(d.trained, train->n);
    cr_expect_eq(dataset_labelled(&d, SPLIT_TRAIN, &first), train->n);
    for (int i = 0; i < 5; i++)
        cr_expect_eq(train->labels[i], 0);
    cr_expect_eq(train->labels[5], 1);
    cr_expect_eq(train->labels[train->n - 1], 2);
    dataset_size(&d, SPLIT_TRAIN, 1, &h, &w);
    cr_expect(h == 51 && w == 89, "%dx%d", w, h);
    cr_expect(d.mean[0] > 0.3f && d.mean[0] < 0.7f && d.std[0] > 0.05f);
    cr_expect_eq(pictures_broken(train->source), 0);
    uint32_t crc = dataset_crc(&d);
    dataset_close(&d);
    cr_assert_eq(open_set("images", dir, &d, &e), 0, "%s", e.text);
    cr_expect_eq(dataset_crc(&d), crc);
    dataset_close(&d);
    scratch_remove(dir);
}

Test(images, folders_that_cannot_be)
{
    char dir[64], path[160];
    scratch_make(dir);
    expect_refused("images", "/nowhere", "/nowhere", "No such file");
    expect_refused("images", dir, dir, "no JPEG or PNG");
    make_split(dir, "val", 1, 1);
    expect_refused("images", dir, "val/", "no train/");
    make_split(dir, "train", 1, 1);
    snprintf(path, sizeof path, "%s/val/dog", dir);
    make_folder(path);
    expect_refused("images", dir, "dog", "do not have");
    scratch_remove(dir);
}

// Without train/ the folders are the classes; without folders there are no classes.
Test(images, plain_folders)
{
    char dir[64], path[160];
    struct dataset d;
    struct error e;
    scratch_make(dir);
    make_split(dir, "all", 3, 1);
    snprintf(path, sizeof path, "%s/all", dir);
    cr_assert_eq(open_set("images", path, &d, &e), 0, "%s", e.text);
    cr_expect(d.classes == CLASSES && d.split[SPLIT_TRAIN].n == 9 && d.split[SPLIT_TEST].n == 0);
    dataset_close(&d);
    snprintf(path, sizeof path, "%s/all/bee", dir);
    cr_assert_eq(open_set("images", path, &d, &e), 0, "%s", e.text);
    cr_expect(d.classes == 0 && d.split[SPLIT_TRAIN].n == 3 && !d.split[SPLIT_TRAIN].labels);
    dataset_close(&d);
    scratch_remove(dir);
}

static void cut(const char *path, off_t size)
{
    cr_assert_eq(truncate(path, size), 0, "%s", path);
}

// More than one in a hundred without a head: all are named.
Test(images, too_many_broken)
{
    char dir[64], path[160];
    make_set(dir, 10);
    snprintf(path, sizeof path, "%s/train/ant/003.jpg", dir);
    cut(path, 0);
    expect_refused("images", dir, "1 of 30 images are broken, more than 1 %",
                   "train/ant/003.jpg: is empty");
    snprintf(path, sizeof path, "%s/train/bee/004.jpg", dir);
    unlink(path);
    cr_assert_eq(symlink("/nowhere.jpg", path), 0);
    snprintf(path, sizeof path, "%s/train/bee/005.jpg", dir);
    unlink(path);
    cr_assert_eq(mkfifo(path, 0600), 0);
    expect_refused("images", dir, "3 of 30", "bee/004.jpg: cannot be opened: No such file");
    expect_refused("images", dir, "3 of 30", "bee/005.jpg: is not a file");
    scratch_remove(dir);
}

enum { BATCH = 12 };

// Both views of a batch, on so many threads: 2 x BATCH x 3 x VIEW x VIEW floats, malloc'd.
static float *load(struct pictures *s, int threads, int64_t at, struct error *e)
{
    struct pixel_shape shape = {3, VIEW, VIEW, VIEW, VIEW};
    static const float zero[3] = {0, 0, 0}, one[3] = {1, 1, 1};
    size_t view = (size_t)BATCH * 3 * VIEW * VIEW;
    struct pixel_pool *p;
    struct augment_view v[2][BATCH];
    int64_t index[BATCH];
    float *out = calloc(2 * view, sizeof *out);
    cr_assert_not_null(out);
    for (int i = 0; i < BATCH; i++) {
        index[i] = (at + i) % s->n;
        for (int k = 0; k < 2; k++)
            augment_draw(augment_find("simsiam"), 3, 1, index[i], k, 3, s->size[index[i]].height,
                         s->size[index[i]].width, &v[k][i]);
    }
    cr_assert_eq(pixel_pool_new(&shape, threads, 0, BATCH, &p, e), 0, "%s", e->text);
    cr_assert_eq(pixel_pool_source(p, s, e), 0, "%s", e->text);
    struct pixel_job job = {.mean = zero,
                            .std = one,
                            .batch = BATCH,
                            .index = index,
                            .view = {v[0], v[1]},
                            .out = {out, out + view}};
    cr_assert_eq(pixel_pool_submit(p, &job, e), 0, "%s", e->text);
    int rc = pixel_pool_wait(p, e);
    pixel_pool_free(p);
    if (rc == 0)
        return out;
    free(out);
    return NULL;
}

// A file that is cut off behind its head is found out when it is read: another of its class takes
// its place, always the same one, and it is named once.
Test(images, broken_ones_are_replaced_the_same_way)
{
    char dir[64], path[160];
    struct dataset d;
    struct error e;
    size_t bytes = 2 * (size_t)BATCH * 3 * VIEW * VIEW * sizeof(float);
    make_set(dir, 40);
    snprintf(path, sizeof path, "%s/train/bee/000.jpg", dir);
    cut(path, 900);
    cr_assert_eq(open_set("images", dir, &d, &e), 0, "%s", e.text);
    struct pictures *s = d.split[SPLIT_TRAIN].source;
    cr_assert_eq(s->n, 120);
    float *one = load(s, 1, 36, &e);
    cr_assert_not_null(one, "%s", e.text);
    for (int threads = 1; threads <= 4; threads++) {
        float *more = load(s, threads, 36, &e);
        cr_assert_not_null(more, "%s", e.text);
        cr_expect_eq(memcmp(one, more, bytes), 0, "%d threads", threads);
        free(more);
    }
    free(one);
    cr_expect_eq(pictures_broken(s), 1);
    cr_expect_not_null(strstr(pictures_sentence(s, 0), "train/bee/000.jpg: is damaged"));
    cr_expect_null(pictures_sentence(s, 1));
    // A second one in 120 is too many.
    snprintf(path, sizeof path, "%s/train/cat/001.jpg", dir);
    cut(path, 900);
    cr_expect_null(load(s, 2, 78, &e));
    cr_expect(strstr(e.text, "2 of 120 images are broken") && strstr(e.text, "cat/001.jpg"), "%s",
              e.text);
    dataset_close(&d);
    scratch_remove(dir);
}

// --- packed ---

static int go_on(void *context, const struct pack_progress *p)
{
    return 0;
}

static int stop_early(void *context, const struct pack_progress *p)
{
    return p->done >= *(int *)context;
}

static int pack(const char *dir, const char *path, int size, int threads,
                struct pack_progress *made, struct error *e)
{
    struct dataset d;
    struct pack_options o = {.path = path, .size = size, .threads = threads, .tell = go_on};
    cr_assert_eq(open_set("images", dir, &d, e), 0, "%s", e->text);
    int rc = pack_write(&d, &o, made, e);
    dataset_close(&d);
    return rc;
}

static uint8_t *content(const char *path, size_t *n)
{
    struct stat st;
    cr_assert_eq(stat(path, &st), 0, "%s", path);
    uint8_t *p = malloc((size_t)st.st_size + 1);
    FILE *f = fopen(path, "rb");
    cr_assert(p && f);
    cr_assert_eq(fread(p, 1, (size_t)st.st_size, f), (size_t)st.st_size);
    fclose(f);
    *n = (size_t)st.st_size;
    return p;
}

Test(images, packed)
{
    char dir[64], path[160], again[160];
    struct dataset a, b;
    struct error e = {""};
    struct pack_progress made;
    make_set(dir, 6);
    snprintf(path, sizeof path, "%s/a.pack", dir);
    snprintf(again, sizeof again, "%s/b.pack", dir);
    cr_assert_eq(pack(dir, path, 4096, 2, &made, &e), 0, "%s", e.text);
    cr_expect(made.done == 30 && made.broken == 0 && made.resumed == 0);
    cr_assert_eq(open_set("images", dir, &a, &e), 0, "%s", e.text);
    cr_assert_eq(open_set("pack", path, &b, &e), 0, "%s", e.text);
    cr_expect(b.classes == CLASSES && b.height == VIEW && b.split[SPLIT_TRAIN].n == 18 &&
              b.split[SPLIT_TEST].n == 12);
    cr_expect_eq(memcmp(a.mean, b.mean, sizeof a.mean), 0);
    cr_expect_eq(
        memcmp(a.split[SPLIT_TEST].labels, b.split[SPLIT_TEST].labels, 12 * sizeof(int32_t)), 0);
    // Nothing was shrunk, so that the views are those of the files.
    float *x = load(a.split[SPLIT_TRAIN].source, 2, 3, &e),
          *y = load(b.split[SPLIT_TRAIN].source, 2, 3, &e);
    double mean = 0;
    size_t n = 2 * (size_t)BATCH * 3 * VIEW * VIEW;
    for (size_t i = 0; i < n; i++)
        mean += fabs((double)x[i] - (double)y[i]) / (double)n;
    cr_expect_lt(mean, 0.5 / 255, "mean %g", mean);
    free(x);
    free(y);
    dataset_close(&a);
    dataset_close(&b);
    // Smaller, and the same file on one thread as on three.
    cr_assert_eq(pack(dir, path, 40, 1, &made, &e), 0, "%s", e.text);
    cr_assert_eq(pack(dir, again, 40, 3, &made, &e), 0, "%s", e.text);
    size_t n_a, n_b;
    uint8_t *p = content(path, &n_a), *q = content(again, &n_b);
    cr_expect(n_a == n_b && memcmp(p, q, n_a) == 0);
    free(p);
    free(q);
    int h, w;
    cr_assert_eq(open_set("pack", path, &b, &e), 0, "%s", e.text);
    dataset_size(&b, SPLIT_TRAIN, 0, &h, &w);
    cr_expect(h == 40 && w == 72, "%dx%d", w, h); // 90 x 50
    dataset_close(&b);
    scratch_remove(dir);
}

// Stopped, killed in the middle of a record, and begun with another size: the end is the same file.
Test(images, packing_goes_on)
{
    char dir[64], path[160], part[170], whole[160];
    struct dataset d;
    struct error e = {""};
    struct pack_progress made;
    int after = 11;
    make_set(dir, 6);
    snprintf(path, sizeof path, "%s/a.pack", dir);
    snprintf(part, sizeof part, "%s.part", path);
    snprintf(whole, sizeof whole, "%s/b.pack", dir);
    cr_assert_eq(pack(dir, whole, 40, 2, &made, &e), 0, "%s", e.text);
    struct pack_options o = {
        .path = path, .size = 40, .threads = 1, .tell = stop_early, .context = &after};
    cr_assert_eq(open_set("images", dir, &d, &e), 0, "%s", e.text);
    cr_assert_eq(pack_write(&d, &o, &made, &e), 1, "%s", e.text);
    dataset_close(&d);
    cr_expect_eq(made.done, 11);
    cr_expect_neq(access(path, F_OK), 0);
    struct stat st;
    cr_assert_eq(stat(part, &st), 0);
    cut(part, st.st_size - 100);
    cr_assert_eq(pack(dir, path, 40, 2, &made, &e), 0, "%s", e.text);
    cr_expect_eq(made.resumed, 10);
    cr_expect_neq(access(part, F_OK), 0);
    size_t n, m;
    uint8_t *p = content(path, &n), *q = content(whole, &m);
    cr_expect(n == m && memcmp(p, q, n) == 0);
    free(p);
    free(q);
    scratch_remove(dir);
}

// A tall image without its lower end: its middle can be looked at, the whole of it cannot.
static void cut_below(const char *path)
{
    struct stat st;
    picture_jpeg(path, 400, 60, 1);
    cr_assert_eq(stat(path, &st), 0);
    cut(path, st.st_size * 9 / 10);
}

Test(images, packing_leaves_out_what_is_broken)
{
    char dir[64], path[160], pack_path[160];
    struct dataset d;
    struct error e = {""};
    struct pack_progress made;
    make_set(dir, 40);
    snprintf(pack_path, sizeof pack_path, "%s/a.pack", dir);
    snprintf(path, sizeof path, "%s/train/bee/007.jpg", dir);
    cut_below(path);
    cr_assert_eq(pack(dir, pack_path, 40, 2, &made, &e), 0, "%s", e.text);
    cr_expect_eq(made.broken, 1);
    cr_assert_eq(open_set("pack", pack_path, &d, &e), 0, "%s", e.text);
    cr_expect_eq(d.split[SPLIT_TRAIN].n, 119);
    dataset_close(&d);
    snprintf(path, sizeof path, "%s/train/cat/007.jpg", dir);
    cut_below(path);
    unlink(pack_path);
    cr_expect_eq(pack(dir, pack_path, 40, 2, &made, &e), -1);
    cr_expect(strstr(e.text, "2 of 120 images are broken") && strstr(e.text, "bee/007.jpg"), "%s",
              e.text);
    cr_expect_neq(access(pack_path, F_OK), 0);
    scratch_remove(dir);
}

Test(images, packed_damage)
{
    char dir[64], path[160];
    struct error e = {""};
    struct pack_progress made;
    size_t n;
    make_set(dir, 3);
    snprintf(path, sizeof path, "%s/a.pack", dir);
    cr_assert_eq(pack(dir, path, 40, 1, &made, &e), 0, "%s", e.text);
    uint8_t *good = content(path, &n), *bad = malloc(n);
    cr_assert_not_null(bad);
    struct pack_head h;
    memcpy(&h, good, sizeof h);
    expect_refused("pack", "/nowhere", "/nowhere", "No such file");
    expect_refused("pack", dir, dir, "not a file");
    static const struct {
        size_t at;
        const char *word;
    } change[] = {
        {0, "not a packed file"},
        {8, "version"},
        {40, "wrong checksum"},
        {sizeof(struct pack_head) - 20, "wrong checksum"},
    };
    for (size_t i = 0; i < sizeof change / sizeof *change; i++) {
        memcpy(bad, good, n);
        bad[change[i].at] ^= 0x55;
        picture_write(path, bad, n);
        expect_refused("pack", path, path, change[i].word);
    }
    memcpy(bad, good, n);
    bad[h.index_at + 3] ^= 1;
    picture_write(path, bad, n);
    expect_refused("pack", path, path, "damaged index");
    for (size_t size = 0; size < n; size += n / 7) {
        picture_write(path, good, size);
        expect_refused("pack", path, path, "");
    }
    free(good);
    free(bad);
    scratch_remove(dir);
}

// What the command says; its exit code.
static int command(char *said, size_t size, const char *words)
{
    char line[600];
    const char *ssltop = getenv("SSLTOP");
    cr_assert_not_null(ssltop, "SSLTOP is not set: make check does");
    snprintf(line, sizeof line, "%s %s 2>&1", ssltop, words);
    FILE *f = popen(line, "r");
    cr_assert_not_null(f);
    said[fread(said, 1, size - 1, f)] = '\0';
    return WEXITSTATUS(pclose(f));
}

Test(images, the_command_pack)
{
    char dir[64], words[300], said[2000], path[160];
    make_set(dir, 5);
    snprintf(words, sizeof words, "pack images:%s -o %s/a.pack --size 40", dir, dir);
    cr_expect_eq(command(said, sizeof said, words), 0, "%s", said);
    cr_expect_not_null(strstr(said, "27 images of images:/tmp"), "%s", said);
    cr_expect_not_null(strstr(said, "0 left out"), "%s", said);
    snprintf(words, sizeof words, "pack images:%s", dir);
    cr_expect_eq(command(said, sizeof said, words), 2, "%s", said);
    cr_expect_not_null(strstr(said, "needs -o"), "%s", said);
    snprintf(words, sizeof words, "pack images:%s -o %s/a.pack --size 0", dir, dir);
    cr_expect_eq(command(said, sizeof said, words), 2, "%s", said);
    cr_expect_eq(command(said, sizeof said, "pack synthetic:64 -o /tmp/ssltop-never"), 1, "%s",
                 said);
    cr_expect_not_null(strstr(said, "only images:DIR"), "%s", said);
    // The list of what is broken, on its way out.
    snprintf(path, sizeof path, "%s/train/ant/001.jpg", dir);
    cut(path, 0);
    snprintf(words, sizeof words, "pack images:%s -o %s/b.pack", dir, dir);
    cr_expect_eq(command(said, sizeof said, words), 1, "%s", said);
    cr_expect_not_null(strstr(said, "train/ant/001.jpg: is empty"), "%s", said);
    scratch_remove(dir);
}

// --- photographs ---

// Real ones, of many megapixels, into small views: what PIL and others see is not compared here,
// only that every part of the way takes them.
Test(images, photographs)
{
    char dir[64], path[160];
    struct dataset d;
    struct error e = {""};
    struct pack_progress made;
    struct stat st;
    if (stat(PHOTOGRAPHS "/umang_by_Abhishek_Mudgal.jpg", &st) != 0)
        cr_assert_fail("lomiri-wallpapers-16.04 is not installed: make deps");
    scratch_make(dir);
    snprintf(path, sizeof path, "%s/photographs", dir);
    cr_assert_eq(symlink(PHOTOGRAPHS, path), 0);
    cr_assert_eq(open_set("images", dir, &d, &e), 0, "%s", e.text);
    struct pictures *s = d.split[SPLIT_TRAIN].source;
    cr_assert_geq(s->n, 15);
    float *view = load(s, 2, 0, &e);
    cr_assert_not_null(view, "%s", e.text);
    double low = 1, high = 0;
    for (size_t i = 0; i < (size_t)2 * BATCH * 3 * VIEW * VIEW; i++) {
        low = fmin(low, (double)view[i]);
        high = fmax(high, (double)view[i]);
    }
    cr_expect(low >= 0 && low < 0.1 && high > 0.9 && high <= 1, "%g to %g", low, high);
    cr_expect_eq(pictures_broken(s), 0);
    free(view);
    dataset_close(&d);
    snprintf(path, sizeof path, "%s.pack", dir);
    cr_assert_eq(pack(dir, path, 64, 2, &made, &e), 0, "%s", e.text);
    cr_expect_geq(made.done, 15);
    unlink(path);
    scratch_remove(dir);
}

// --- a device that takes images from memory only ---

struct rig {
    struct net net;
    struct plan *plan;
    float h[BATCH * 64];
    double loss[2];
};

// The loss of two batches and the features of some images.
static void measure(struct device *d, const struct dataset *data, struct images *set, struct rig *r)
{
    struct options o;
    struct error e = {""};
    struct plan_options compile = {.batch = BATCH, .precision = PRECISION_F32};
    struct augment_view view[2][BATCH];
    const struct augment_view *const both[2] = {view[0], view[1]};
    int64_t index[BATCH];
    options_default(&o);
    o.width = 4;
    o.batch = BATCH;
    cr_assert_eq(method_resolve(&o, &e), 0, "%s", e.text);
    cr_assert_eq(method_build(&o, 3, VIEW, VIEW, &r->net, &e), 0, "%s", e.text);
    cr_assert_eq(device_compile(d, &r->net, &compile, &r->plan, &e), 0, "%s", e.text);
    cr_assert_eq(method_init(&r->net, 1, r->plan, &e), 0, "%s", e.text);
    for (int step = 0; step < 2; step++) {
        for (int i = 0; i < BATCH; i++) {
            index[i] = 3 * i + step;
            const struct pictures_size *size = &data->split[SPLIT_TRAIN].source->size[index[i]];
            for (int v = 0; v < 2; v++)
                augment_draw(augment_find("simsiam"), 1, step, index[i], v, 3, size->height,
                             size->width, &view[v][i]);
        }
        cr_assert_eq(plan_load(r->plan, set, index, both, &e), 0, "%s", e.text);
    }
    for (int step = 0; step < 2; step++) {
        struct plan_scores s;
        cr_assert_eq(plan_forward(r->plan, &e), 0, "%s", e.text);
        plan_scores(r->plan, &s);
        r->loss[step] = s.loss;
    }
    cr_assert_eq(plan_evaluate(r->plan, set, index, 5, r->h, &e), 0, "%s", e.text);
}

// It sees the same views but for PIL's rounding of a crop to bytes.
Test(images, staged)
{
    char dir[64];
    struct dataset data;
    struct device *d;
    struct images *direct, *staged;
    struct rig a = {0}, b = {0};
    struct error e = {""};
    make_set(dir, 20);
    cr_assert_eq(open_set("images", dir, &data, &e), 0, "%s", e.text);
    cr_assert_eq(device_open("cpu", 2, &d, &e), 0, "%s", e.text);
    cr_assert_eq(images_of(d, &data, SPLIT_TRAIN, &direct, &e), 0, "%s", e.text);
    cr_assert_eq(
        staged_new(d, data.split[SPLIT_TRAIN].source, VIEW, VIEW, data.mean, data.std, &staged, &e),
        0);
    measure(d, &data, direct, &a);
    measure(d, &data, staged, &b);
    for (int i = 0; i < 2; i++)
        cr_expect_float_eq(a.loss[i], b.loss[i], 0.02, "%g, %g", a.loss[i], b.loss[i]);
    cr_expect_neq(a.loss[0], a.loss[1]);
    double apart = 0, size = 0;
    int n = 5 * a.net.node[a.net.features].c;
    for (int i = 0; i < n; i++) {
        apart += fabs((double)a.h[i] - (double)b.h[i]);
        size += fabs((double)a.h[i]);
    }
    cr_expect(size > 0 && apart < 0.03 * size, "%g of %g", apart, size);
    plan_free(a.plan);
    plan_free(b.plan);
    net_free(&a.net);
    net_free(&b.net);
    images_free(direct);
    images_free(staged);
    device_close(d);
    dataset_close(&data);
    scratch_remove(dir);
}

// --- all the way ---

Test(images, a_training_on_them)
{
    struct lab lab;
    char dir[64], path[160], data[200];
    lab_open(&lab);
    make_set(dir, 40);
    snprintf(path, sizeof path, "%s/train/ant/011.jpg", dir);
    cut(path, 900);
    snprintf(data, sizeof data, "images:%s", dir);
#define SMALL                                                                                      \
    "--image-size", "32", "--width", "4", "--batch", "8", "--threads", "1", "--precision", "f32",  \
        "--steps", "16", "--probe-images", "30"
#define OFTEN "--eval-every", "4", "--checkpoint-every", "4"
    cr_assert_eq(RUN(&lab, "--data", data, SMALL, "--name", "a"), 0, "%s", lab_text(lab.out));
    cr_assert_eq(RUN(&lab, "--data", data, SMALL, "--name", "b", "--threads", "2"), 0, "%s",
                 lab_text(lab.out));
    cr_expect_geq(lab_event(&lab, "a", "warning", "trainer"), 0, "the broken image is not named");
    json_t *log = lab_log(&lab, "a");
    json_t *eval = json_object_get(log, "eval/16");
    cr_assert_not_null(eval);
    cr_expect(json_is_number(json_object_get(eval, "probe")), "no probe");
    json_decref(log);
    // Its features, with the broken image named.
    char words[400], said[3000];
    snprintf(words, sizeof words, "probe %s/a", lab.dir);
    cr_expect_eq(command(said, sizeof said, words), 0, "%s", said);
    cr_expect_not_null(strstr(said, "broken, left out: train/ant/011.jpg"), "%s", said);
    // Of the packed file the same way.
    struct error e = {""};
    struct pack_progress made;
    snprintf(path, sizeof path, "%s/a.pack", dir);
    cr_assert_eq(pack(dir, path, 64, 1, &made, &e), 0, "%s", e.text);
    snprintf(data, sizeof data, "pack:%s", path);
    cr_assert_eq(RUN(&lab, "--data", data, SMALL, OFTEN, "--name", "c"), 0, "%s",
                 lab_text(lab.out));
    cr_assert_eq(RUN(&lab, "--data", data, SMALL, OFTEN, "--name", "d", "--stop-at", "8"), 0, "%s",
                 lab_text(lab.out));
    cr_assert_eq(RUN(&lab, "--resume", "d", "--stop-at", "end"), 0, "%s", lab_text(lab.out));
    lab_same(&lab, "c", "d");
    lab_close(&lab);
    scratch_remove(dir);
}
