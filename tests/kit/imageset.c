// Folders with a few pictures, opened, read and packed.
#include "data/sets/dataset_table.h"
#include "tests/kit/imageset.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gpu/views/pixel_pool.h"
#include "tests/kit/pictures.h"

const char *const imageset_class[IMAGESET_CLASSES] = {"ant", "bee", "cat"};

void imageset_folder(const char *path)
{
    cr_assert(mkdir(path, 0700) == 0, "%s", path);
}

void imageset_split(const char *dir, const char *split, int each, int seed)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", dir, split);
    imageset_folder(path);
    for (int c = 0; c < IMAGESET_CLASSES; c++) {
        snprintf(path, sizeof path, "%s/%s/%s", dir, split, imageset_class[c]);
        imageset_folder(path);
        for (int i = 0; i < each; i++) {
            snprintf(path, sizeof path, "%s/%s/%s/%03d.jpg", dir, split, imageset_class[c], i);
            picture_jpeg(path, 50 + 7 * c + i % 5, 90 - i % 7, seed + 10 * c + i);
        }
    }
}

void imageset_make(char dir[64], int each)
{
    scratch_make(dir);
    imageset_split(dir, "train", each, 1);
    imageset_split(dir, "val", 4, 5);
}

int imageset_open(const char *kind, const char *path, struct dataset *d, struct error *e)
{
    char spec[200];
    snprintf(spec, sizeof spec, "%s:%s", kind, path);
    e->text[0] = '\0';
    return dataset_open_sized(spec, 1, IMAGESET_VIEW, 0, d, e);
}

void imageset_refused(const char *kind, const char *path, const char *a, const char *b)
{
    struct dataset d;
    struct error e;
    cr_expect_eq(imageset_open(kind, path, &d, &e), -1, "%s was accepted", path);
    cr_expect(strstr(e.text, a) && strstr(e.text, b), "no '%s' or '%s' in: %s", a, b, e.text);
}

void imageset_cut(const char *path, off_t size)
{
    cr_assert_eq(truncate(path, size), 0, "%s", path);
}

float *imageset_load(struct pictures *s, int threads, int64_t at, struct error *e)
{
    struct pixel_shape shape = {3, IMAGESET_VIEW, IMAGESET_VIEW, IMAGESET_VIEW, IMAGESET_VIEW};
    static const float zero[3] = {0, 0, 0}, one[3] = {1, 1, 1};
    size_t view = (size_t)IMAGESET_BATCH * 3 * IMAGESET_VIEW * IMAGESET_VIEW;
    struct pixel_pool *p;
    struct augment_view v[2][IMAGESET_BATCH];
    int64_t index[IMAGESET_BATCH];
    float *out = calloc(2 * view, sizeof *out);
    cr_assert_not_null(out);
    for (int i = 0; i < IMAGESET_BATCH; i++) {
        index[i] = (at + i) % s->n;
        for (int k = 0; k < 2; k++)
            augment_draw(augment_find("simsiam"), 3, 1, index[i], k, 3, s->size[index[i]].height,
                         s->size[index[i]].width, 64, &v[k][i]);
    }
    cr_assert_eq(pixel_pool_new(&shape, threads, 0, IMAGESET_BATCH, &p, e), 0, "%s", e->text);
    cr_assert_eq(pixel_pool_source(p, s, e), 0, "%s", e->text);
    struct pixel_job job = {.mean = zero,
                            .std = one,
                            .batch = IMAGESET_BATCH,
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

static int go_on(void *context, const struct pack_progress *p)
{
    return 0;
}

int imageset_pack(const char *dir, const char *path, int size, int threads,
                  struct pack_progress *made, struct error *e)
{
    struct dataset d;
    struct pack_options o = {.path = path, .size = size, .threads = threads, .tell = go_on};
    cr_assert_eq(imageset_open("images", dir, &d, e), 0, "%s", e->text);
    int rc = pack_write(&d, &o, made, e);
    dataset_close(&d);
    return rc;
}

int imageset_command(char *said, size_t size, const char *words)
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
