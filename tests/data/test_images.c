// Folders of images: classes and splits, files and folders that are not what they seem, broken
// images counted, named and replaced, and the pool the same on any number of threads.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/sets/dataset_table.h"
#include "data/sets/pack.h"
#include "data/parallel.h"
#include "data/photos/pictures.h"
#include "gpu/views/pixel_pool.h"
#include "gpu/device.h"
#include "gpu/views/staged.h"
#include "tests/kit/imageset.h"
#include "tests/kit/pictures.h"
#include "tests/kit/runs.h"
#include "train/methods/method.h"
#include "train/options/options.h"

#define PHOTOGRAPHS "/usr/share/backgrounds" // lomiri-wallpapers-16.04

Test(images, classes_and_splits)
{
    char dir[64], path[160];
    struct dataset d;
    struct error e;
    int h, w;
    int64_t first;
    imageset_make(dir, 5);
    // What is passed over, and what is found deeper, by a link, or with another ending.
    snprintf(path, sizeof path, "%s/train/bee/notes.txt", dir);
    picture_write(path, (const uint8_t *)"x", 1);
    snprintf(path, sizeof path, "%s/train/bee/.hidden.jpg", dir);
    picture_write(path, (const uint8_t *)"x", 1);
    snprintf(path, sizeof path, "%s/train/bee/more", dir);
    imageset_folder(path);
    snprintf(path, sizeof path, "%s/train/bee/more/late.JPEG", dir);
    picture_jpeg(path, 33, 44, 9);
    snprintf(path, sizeof path, "%s/train/bee/round", dir);
    cr_assert_eq(symlink("..", path), 0);
    snprintf(path, sizeof path, "%s/train/bee/more/self", dir);
    cr_assert_eq(symlink(".", path), 0);
    cr_assert_eq(imageset_open("images", dir, &d, &e), 0, "%s", e.text);
    cr_expect(d.channels == 3 && d.height == IMAGESET_VIEW && d.width == IMAGESET_VIEW &&
              d.classes == IMAGESET_CLASSES);
    const struct dataset_split *train = &d.split[SPLIT_TRAIN], *test = &d.split[SPLIT_TEST];
    cr_assert_eq(test->n, 4 * IMAGESET_CLASSES);
    cr_expect_eq(train->n, 5 * IMAGESET_CLASSES + 1);
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
    cr_assert_eq(imageset_open("images", dir, &d, &e), 0, "%s", e.text);
    cr_expect_eq(dataset_crc(&d), crc);
    dataset_close(&d);
    scratch_remove(dir);
}

struct crew {
    pthread_t caller;
    pthread_barrier_t *all;
    _Atomic int others; // items on other threads than the caller's
    _Atomic int done;
};

static int take_part(void *context, int64_t i, struct error *e)
{
    struct crew *c = context;
    c->done++;
    c->others += !pthread_equal(pthread_self(), c->caller);
    if (c->all)
        pthread_barrier_wait(c->all);
    return i < 7 ? 0 : error_set(e, "item %d", (int)i);
}

// Opening keeps to the threads that were asked for, and the caller is one of them.
Test(images, threads_of_opening, .timeout = 60)
{
    char dir[64], spec[100];
    struct dataset d[2];
    struct error e;
    pthread_barrier_t all;
    struct crew crew = {.caller = pthread_self()};
    // Where there is one thread the first that fails is known, and all are done all the same.
    cr_expect(parallel_run(1, 100, take_part, &crew, &e) == -1 && !strcmp(e.text, "item 7"));
    cr_expect(crew.others == 0 && crew.done == 100);
    cr_assert_eq(pthread_barrier_init(&all, NULL, 5), 0); // opens when five are there
    crew.all = &all;
    cr_expect_eq(parallel_run(5, 5, take_part, &crew, NULL), 0);
    cr_expect_eq(crew.others, 4);
    pthread_barrier_destroy(&all);
    imageset_make(dir, 20);
    snprintf(spec, sizeof spec, "images:%s", dir);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(dataset_open_sized(spec, 1, IMAGESET_VIEW, i ? 5 : 1, &d[i], &e), 0, "%s",
                     e.text);
    cr_expect(memcmp(d[0].mean, d[1].mean, sizeof d[0].mean) == 0 &&
              memcmp(d[0].std, d[1].std, sizeof d[0].std) == 0 &&
              dataset_crc(&d[0]) == dataset_crc(&d[1]));
    dataset_close(&d[0]);
    dataset_close(&d[1]);
    scratch_remove(dir);
}

// A class without an image makes other labels of the same files: another data set.
Test(images, labels_count_in_the_checksum)
{
    char dir[64], path[160];
    struct dataset d;
    struct error e;
    static const char *const added[] = {NULL, "abc", "zoo", NULL};
    uint32_t crc[4];
    imageset_make(dir, 3);
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/train/%s", dir, added[i] ? added[i] : "");
        if (added[i])
            imageset_folder(path);
        cr_assert_eq(imageset_open("images", dir, &d, &e), 0, "%s", e.text);
        cr_expect_eq(d.classes, IMAGESET_CLASSES + (added[i] != NULL));
        cr_expect_eq(d.split[SPLIT_TRAIN].labels[0], i == 1);
        crc[i] = dataset_crc(&d);
        dataset_close(&d);
        if (added[i])
            cr_assert_eq(rmdir(path), 0);
    }
    cr_expect(crc[0] != crc[1] && crc[0] != crc[2] && crc[1] != crc[2]);
    cr_expect_eq(crc[0], crc[3]);
    scratch_remove(dir);
}

// Splits as people call them; without labels that is said.
Test(images, names_of_splits)
{
    static const char *const name[][2] = {{"Train", "Val"},        {"training", "testing"},
                                          {"train", "valid"},      {"train", "validation"},
                                          {"TRAINING", "Testing"}, {"train", "test"}};
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        char dir[64];
        struct dataset d;
        struct error e = {""};
        scratch_make(dir);
        imageset_split(dir, name[i][0], 3, 1);
        imageset_split(dir, name[i][1], 2, 2);
        cr_assert_eq(imageset_open("images", dir, &d, &e), 0, "%s", e.text);
        cr_expect(d.split[SPLIT_TRAIN].n == 9 && d.split[SPLIT_TEST].n == 6, "%s", name[i][0]);
        cr_expect(d.classes == 3 && d.split[SPLIT_TEST].labels);
        dataset_close(&d);
        scratch_remove(dir);
    }
    // ImageNet's val as it is unpacked; and classes that have such names.
    char dir[64], path[96];
    struct dataset d;
    struct error e = {""};
    scratch_make(dir);
    imageset_split(dir, "train", 3, 1);
    snprintf(path, sizeof path, "%s/val", dir);
    cr_assert_eq(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/val/1.jpg", dir);
    picture_jpeg(path, 40, 40, 1);
    cr_assert_eq(imageset_open("images", dir, &d, &e), 0, "%s", e.text);
    cr_expect(d.split[SPLIT_TEST].n == 1 && !d.split[SPLIT_TEST].labels);
    const char *notice = d.split[SPLIT_TEST].source->notice;
    cr_expect(notice && strstr(notice, "val has no folders of classes"), "%s", notice);
    dataset_close(&d);
    scratch_remove(dir);
    scratch_make(dir);
    imageset_split(dir, "valid", 1, 1);
    imageset_split(dir, "invalid", 1, 2);
    cr_assert_eq(imageset_open("images", dir, &d, &e), 0, "%s", e.text);
    cr_expect(d.classes == 2 && d.split[SPLIT_TRAIN].n == 6 && d.split[SPLIT_TEST].n == 0);
    dataset_close(&d);
    scratch_remove(dir);
}

// What is no JPEG, PNG or WebP by its name is counted aloud.
Test(images, files_passed_over)
{
    static const char *const other[] = {"a.bmp", "b.JFIF", "c.bmp", "d", "e.gif", "f.tif"};
    char dir[64], path[128];
    struct dataset d;
    struct error e = {""};
    imageset_make(dir, 3);
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        snprintf(path, sizeof path, "%s/train/%s/%s", dir, imageset_class[0], other[i]);
        picture_write(path, (const uint8_t *)"x", 1);
    }
    cr_assert_eq(imageset_open("images", dir, &d, &e), 0, "%s", e.text);
    const char *notice = d.split[SPLIT_TRAIN].source->notice;
    cr_expect(notice && strstr(notice, "6 files by the end of the name (.bmp, .JFIF, .gif)"), "%s",
              notice);
    dataset_close(&d);
    scratch_remove(dir);
}

// The same images elsewhere go on; fewer of them are said to be that.
Test(images, a_training_goes_on_where_they_moved)
{
    struct lab lab;
    char dir[64], moved[80], data[96], image[128];
    lab_open(&lab);
    imageset_make(dir, 8);
    snprintf(data, sizeof data, "images:%s", dir);
    const char *const first[] = {"--data",    data, "--image-size", "32", "--width", "4",
                                 "--batch",   "4",  "--threads",    "1",  "--steps", "40",
                                 "--stop-at", "3",  "--name",       "a",  NULL};
    cr_assert_eq(lab_wait(lab_start(&lab, 0, first)), 0, "%s", lab_text(lab.out));
    snprintf(moved, sizeof moved, "%s-moved", dir);
    cr_assert_eq(rename(dir, moved), 0);
    snprintf(data, sizeof data, "images:%s", moved);
    cr_assert_eq(RUN(&lab, "--resume", "a"), 1);
    cr_assert_eq(RUN(&lab, "--resume", "a", "--data", data, "--stop-at", "5"), 0, "%s",
                 lab_text(lab.out));
    // From then on they are there, until somebody says more.
    cr_assert_eq(RUN(&lab, "--resume", "a", "--stop-at", "6"), 0, "%s", lab_text(lab.out));
    snprintf(image, sizeof image, "%s/train/%s/000.jpg", moved, imageset_class[0]);
    cr_assert_eq(unlink(image), 0);
    cr_assert_eq(RUN(&lab, "--resume", "a", "--data", data), 1);
    char *text = lab_text(lab.out);
    cr_expect(strstr(text, "has 23 images to train on, ") && strstr(text, " had 24"), "%s", text);
    free(text);
    // As many, but others.
    picture_jpeg(image, 50, 60, 99);
    cr_assert_eq(RUN(&lab, "--resume", "a", "--data", data), 1);
    text = lab_text(lab.out);
    cr_expect(strstr(text, "are not those that"), "%s", text);
    free(text);
    scratch_remove(moved);
    lab_close(&lab);
}

Test(images, folders_that_cannot_be)
{
    char dir[64], path[160];
    scratch_make(dir);
    imageset_refused("images", "/nowhere", "/nowhere", "No such file");
    imageset_refused("images", dir, dir, "no JPEG, PNG or WebP");
    imageset_split(dir, "val", 1, 1);
    imageset_refused("images", dir, "val/", "no train/");
    imageset_split(dir, "train", 1, 1);
    snprintf(path, sizeof path, "%s/val/dog", dir);
    imageset_folder(path);
    imageset_refused("images", dir, "dog", "do not have");
    scratch_remove(dir);
}

// Without train/ the folders are the classes; without folders there are no classes.
Test(images, plain_folders)
{
    char dir[64], path[160];
    struct dataset d;
    struct error e;
    scratch_make(dir);
    imageset_split(dir, "all", 3, 1);
    snprintf(path, sizeof path, "%s/all", dir);
    cr_assert_eq(imageset_open("images", path, &d, &e), 0, "%s", e.text);
    cr_expect(d.classes == IMAGESET_CLASSES && d.split[SPLIT_TRAIN].n == 9 &&
              d.split[SPLIT_TEST].n == 0);
    dataset_close(&d);
    snprintf(path, sizeof path, "%s/all/bee", dir);
    cr_assert_eq(imageset_open("images", path, &d, &e), 0, "%s", e.text);
    cr_expect(d.classes == 0 && d.split[SPLIT_TRAIN].n == 3 && !d.split[SPLIT_TRAIN].labels);
    dataset_close(&d);
    // Folders of images to test on alone are no classes either.
    imageset_split(path, "val", 1, 2);
    snprintf(path + strlen(path), 8, "/train");
    cr_assert_eq(mkdir(path, 0700), 0);
    snprintf(path + strlen(path), 8, "/1.jpg");
    picture_jpeg(path, 40, 40, 1);
    snprintf(path, sizeof path, "%s/all/bee", dir);
    cr_assert_eq(imageset_open("images", path, &d, &e), 0, "%s", e.text);
    cr_expect(d.classes == 0 && d.split[SPLIT_TEST].n == 3 && !d.split[SPLIT_TEST].labels);
    dataset_close(&d);
    scratch_remove(dir);
}

// More than one in a hundred without a head: all are named.
Test(images, too_many_broken)
{
    char dir[64], path[160];
    imageset_make(dir, 10);
    snprintf(path, sizeof path, "%s/train/ant/003.jpg", dir);
    imageset_cut(path, 0);
    imageset_refused("images", dir, "1 of 30 images are broken, more than 1 %",
                     "train/ant/003.jpg: is empty");
    snprintf(path, sizeof path, "%s/train/bee/004.jpg", dir);
    unlink(path);
    cr_assert_eq(symlink("/nowhere.jpg", path), 0);
    snprintf(path, sizeof path, "%s/train/bee/005.jpg", dir);
    unlink(path);
    cr_assert_eq(mkfifo(path, 0600), 0);
    imageset_refused("images", dir, "3 of 30", "bee/004.jpg: cannot be opened: No such file");
    imageset_refused("images", dir, "3 of 30", "bee/005.jpg: is not a file");
    scratch_remove(dir);
}

// As people have them: other formats by an ending that is read, one in a set of many.
Test(images, of_other_kinds)
{
    static const struct {
        size_t n;
        const char *bytes, *is;
    } row[] = {
        {13, "GIF89a\x10\0\x10\0\x80\0\0", "is a GIF"},
        {18, "BM\x8a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", "is a BMP"},
        {8, "II*\0\x08\0\0\0", "is a TIFF"},
        {8, "MM\0*\0\0\0\x08", "is a TIFF"},
        {12,
         "\0\0\0\x1c"
         "ftypavif",
         "is an AVIF"},
        {12,
         "\0\0\0\x18"
         "ftypheic",
         "is a HEIC"},
        {12,
         "\0\0\0\x18"
         "ftypisom",
         "is a video"},
        {12, "\0\0\0\x0cjP  \r\n\x87\n", "is a JPEG 2000"},
        {4, "\xff\x0a\x10\x20", "is a JPEG XL"},
        {8, "\0\0\1\0\1\0\x10\x10", "is an icon"},
        {9, "8BPS\0\1\0\0\0", "is a file of Photoshop"},
        {9, "%PDF-1.7\n", "is a PDF"},
        {14, "<!DOCTYPE html", "is a web page"},
        {6, "\1\2\3\4\5\6", "is neither a JPEG, nor a PNG, nor a WebP"},
    };
    char dir[64], path[160];
    imageset_make(dir, 40);
    snprintf(path, sizeof path, "%s/train/bee/003.jpg", dir);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct dataset d;
        struct error e;
        picture_write(path, (const uint8_t *)row[i].bytes, row[i].n);
        cr_assert_eq(imageset_open("images", dir, &d, &e), 0, "%s", e.text);
        struct pictures *s = d.split[SPLIT_TRAIN].source;
        cr_assert(s->n == 119 && pictures_broken(s) == 1);
        const char *said = pictures_sentence(s, 0);
        cr_expect(said && strstr(said, "train/bee/003.jpg: ") && strstr(said, row[i].is), "%s: %s",
                  row[i].is, said);
        dataset_close(&d);
    }
    scratch_remove(dir);
}

// What this user may not read is a broken image like others; a folder is not passed over in
// silence. Root may read everything: then nobody looks.
Test(images, unreadable)
{
    char dir[64], path[160];
    struct dataset d;
    struct error e;
    cr_assert(getuid() != 0 || seteuid(65534) == 0);
    imageset_make(dir, 40);
    snprintf(path, sizeof path, "%s/train/bee/003.jpg", dir);
    cr_assert_eq(chmod(path, 0), 0);
    cr_assert_eq(imageset_open("images", dir, &d, &e), 0, "%s", e.text);
    cr_expect_eq(d.split[SPLIT_TRAIN].n, 119);
    cr_expect_eq(pictures_broken(d.split[SPLIT_TRAIN].source), 1);
    dataset_close(&d);
    snprintf(path, sizeof path, "%s/train/bee", dir);
    cr_assert_eq(chmod(path, 0), 0);
    imageset_refused("images", dir, "train/bee", "Permission denied");
    cr_assert_eq(chmod(path, 0755), 0);
    scratch_remove(dir);
    // root again, and dumpable: else LeakSanitizer cannot look
    cr_assert(getuid() != 0 || (seteuid(0) == 0 && prctl(PR_SET_DUMPABLE, 1) == 0));
}

// A file that is cut off behind its head is found out when it is read: another of its class takes
// its place, always the same one, and it is named once.
Test(images, broken_ones_are_replaced_the_same_way)
{
    char dir[64], path[160];
    struct dataset d;
    struct error e;
    size_t bytes = 2 * (size_t)IMAGESET_BATCH * 3 * IMAGESET_VIEW * IMAGESET_VIEW * sizeof(float);
    imageset_make(dir, 40);
    snprintf(path, sizeof path, "%s/train/bee/000.jpg", dir);
    imageset_cut(path, 900);
    cr_assert_eq(imageset_open("images", dir, &d, &e), 0, "%s", e.text);
    struct pictures *s = d.split[SPLIT_TRAIN].source;
    cr_assert_eq(s->n, 120);
    float *one = imageset_load(s, 1, 36, &e);
    cr_assert_not_null(one, "%s", e.text);
    for (int threads = 1; threads <= 4; threads++) {
        float *more = imageset_load(s, threads, 36, &e);
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
    imageset_cut(path, 900);
    cr_expect_null(imageset_load(s, 2, 78, &e));
    cr_expect(strstr(e.text, "2 of 120 images are broken") && strstr(e.text, "cat/001.jpg"), "%s",
              e.text);
    dataset_close(&d);
    scratch_remove(dir);
}

// From now on this process can open nothing.
static int starve(void *context, const struct pack_progress *p)
{
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 0;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return 0;
}

// What this machine is short of is no fault of an image: an error, and nobody is called broken.
Test(images, no_file_can_be_opened)
{
    char dir[64], path[160];
    struct dataset d;
    struct error e;
    struct rlimit before, none;
    struct pictures_reader *r;
    struct picture picture;
    struct box whole = {0, 0, 50, 90}, box;
    struct pack_progress made;
    imageset_make(dir, 3);
    cr_assert_eq(imageset_open("images", dir, &d, &e), 0, "%s", e.text);
    struct pictures *s = d.split[SPLIT_TRAIN].source;
    cr_assert_eq(pictures_reader_new(s, &r, &e), 0, "%s", e.text);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){0, before.rlim_max};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    int rc = pictures_read(r, 0, &whole, 1, 32, 32, &picture, &box, &e);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    cr_expect(rc == -1 && strstr(e.text, "train/ant/000.jpg: cannot be opened: Too many open"),
              "%d: %s", rc, e.text);
    cr_expect_eq(pictures_broken(s), 0);
    cr_expect_eq(pictures_read(r, 0, &whole, 1, 32, 32, &picture, &box, &e), 0, "%s", e.text);
    pictures_reader_free(r);
    dataset_close(&d);
    // Nor does packing leave it out.
    snprintf(path, sizeof path, "%s/a.pack", dir);
    struct pack_options o = {.path = path, .size = 40, .threads = 1, .tell = starve};
    cr_assert_eq(imageset_open("images", dir, &d, &e), 0, "%s", e.text);
    rc = pack_write(&d, &o, &made, &e);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    cr_expect(rc == -1 && strstr(e.text, "Too many open"), "%d: %s", rc, e.text);
    cr_expect_eq(made.broken, 0);
    dataset_close(&d);
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
    cr_assert_eq(imageset_open("images", dir, &d, &e), 0, "%s", e.text);
    struct pictures *s = d.split[SPLIT_TRAIN].source;
    cr_assert_geq(s->n, 15);
    float *view = imageset_load(s, 2, 0, &e);
    cr_assert_not_null(view, "%s", e.text);
    double low = 1, high = 0;
    for (size_t i = 0; i < (size_t)2 * IMAGESET_BATCH * 3 * IMAGESET_VIEW * IMAGESET_VIEW; i++) {
        double v = (double)view[i];
        low = v < low ? v : low;
        high = v > high ? v : high;
    }
    cr_expect(low >= 0 && low < 0.1 && high > 0.9 && high <= 1, "%g to %g", low, high);
    cr_expect_eq(pictures_broken(s), 0);
    free(view);
    dataset_close(&d);
    snprintf(path, sizeof path, "%s.pack", dir);
    cr_assert_eq(imageset_pack(dir, path, 64, 2, &made, &e), 0, "%s", e.text);
    cr_expect_geq(made.done, 15);
    unlink(path);
    scratch_remove(dir);
}

// --- a device that takes images from memory only ---

struct rig {
    struct net net;
    struct plan *plan;
    float h[IMAGESET_BATCH * 64];
    double loss[2];
};

// The loss of two batches and the features of some images.
static void measure(struct device *d, const struct dataset *data, struct images *set, struct rig *r)
{
    struct options o;
    struct error e = {""};
    struct plan_options compile = {.batch = IMAGESET_BATCH, .precision = PRECISION_F32};
    struct augment_view view[2][IMAGESET_BATCH];
    const struct augment_view *const both[2] = {view[0], view[1]};
    int64_t index[IMAGESET_BATCH];
    options_default(&o);
    o.width = 4;
    o.batch = IMAGESET_BATCH;
    cr_assert_eq(method_resolve(&o, &e), 0, "%s", e.text);
    cr_assert_eq(method_build(&o, 3, IMAGESET_VIEW, IMAGESET_VIEW, &r->net, &e), 0, "%s", e.text);
    cr_assert_eq(device_compile(d, &r->net, &compile, &r->plan, &e), 0, "%s", e.text);
    cr_assert_eq(method_init(&r->net, 1, r->plan, &e), 0, "%s", e.text);
    for (int step = 0; step < 2; step++) {
        for (int i = 0; i < IMAGESET_BATCH; i++) {
            index[i] = 3 * i + step;
            const struct pictures_size *size = &data->split[SPLIT_TRAIN].source->size[index[i]];
            for (int v = 0; v < 2; v++)
                augment_draw(augment_find("simsiam"), 1, step, index[i], v, 3, size->height,
                             size->width, 64, &view[v][i]);
        }
        cr_assert_eq(plan_load(r->plan, set, index, both, &e), 0, "%s", e.text);
    }
    for (int step = 0; step < 2; step++) {
        struct plan_scores s;
        cr_assert_eq(plan_forward(r->plan, &e), 0, "%s", e.text);
        cr_assert_eq(plan_scores(r->plan, &s, &e), 0, "%s", e.text);
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
    imageset_make(dir, 20);
    cr_assert_eq(imageset_open("images", dir, &data, &e), 0, "%s", e.text);
    cr_assert_eq(device_open("cpu", 2, &d, &e), 0, "%s", e.text);
    cr_assert_eq(images_of(d, &data, SPLIT_TRAIN, &direct, &e), 0, "%s", e.text);
    cr_assert_eq(staged_new(direct, &staged, &e), 0);
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

#define SMALL                                                                                      \
    "--image-size", "32", "--width", "4", "--batch", "8", "--threads", "1", "--precision", "f32",  \
        "--steps", "16", "--probe-images", "30", "--eval-share", "1"

// Losses of the 16 steps of a run that learns nothing: what is seen of its batches.
static void losses(struct lab *lab, const char *data, const char *threads, const char *seed,
                   const char *name, double loss[16])
{
    char key[20];
    cr_assert_eq(RUN(lab, "--data", data, SMALL, "--lr", "0", "--threads", threads, "--seed", seed,
                     "--name", name),
                 0, "%s", lab_text(lab->out));
    json_t *log = lab_log(lab, name);
    for (int i = 0; i < 16; i++) {
        snprintf(key, sizeof key, "step/%d", i);
        json_t *step = json_object_get(log, key);
        cr_assert(json_is_real(json_object_get(step, "loss")), "no %s", key);
        loss[i] = json_real_value(json_object_get(step, "loss"));
    }
    json_decref(log);
}

// Threads change the order of sums, and in a training such differences grow. Without learning a
// loss says which images a step saw, through which views: the same in the same order on any number
// of threads, also in place of one that is broken.
Test(images, threads_change_no_batch)
{
    struct lab lab;
    char dir[64], path[160], data[200];
    double one[16], more[16], other[16];
    lab_open(&lab);
    imageset_make(dir, 40);
    snprintf(path, sizeof path, "%s/train/ant/011.jpg", dir);
    imageset_cut(path, 900);
    snprintf(data, sizeof data, "images:%s", dir);
    losses(&lab, data, "1", "1", "one", one);
    losses(&lab, data, "3", "1", "three", more);
    losses(&lab, data, "3", "2", "other", other);
    int differ = 0;
    for (int i = 0; i < 16; i++) {
        cr_expect_float_eq(one[i], more[i], 1e-6, "step %d: %.9f and %.9f", i, one[i], more[i]);
        differ += fabs(one[i] - other[i]) > 1e-4 && (i == 0 || fabs(one[i] - one[i - 1]) > 1e-4);
    }
    cr_expect_geq(differ, 14, "losses of other batches are the same: %d differ", differ);
    cr_expect_geq(lab_event(&lab, "three", "warning", "trainer"), 0, "the image is not named");
    lab_close(&lab);
    scratch_remove(dir);
}

// Who says the mean and deviation needs nobody to look at hundreds of images for them.
Test(images, are_not_measured_without_need)
{
    struct lab lab;
    char dir[64], path[160], data[200], *said;
    lab_open(&lab);
    imageset_make(dir, 8);
    snprintf(data, sizeof data, "images:%s", dir);
    for (int c = 0; c < IMAGESET_CLASSES; c++)
        for (int i = 0; i < 8; i++) {
            snprintf(path, sizeof path, "%s/train/%s/%03d.jpg", dir, imageset_class[c], i);
            imageset_cut(path, 900); // behind the head
        }
    cr_expect_eq(RUN(&lab, "--data", data, SMALL, "--dry-run"), 1);
    said = lab_text(lab.out);
    cr_expect_not_null(strstr(said, "are broken"), "%s", said);
    free(said);
    cr_expect_eq(RUN(&lab, "--data", data, SMALL, "--dry-run", "--normalize", "0.5/0.25"), 0, "%s",
                 lab_text(lab.out));
    // Whoever asks features for their images looks at them before there is a run; a training that
    // finds out later names those that it ends for.
    cr_expect_eq(RUN(&lab, "--data", data, SMALL, "--normalize", "0.5/0.25", "--name", "a"), 1);
    said = lab_text(lab.out);
    cr_expect(strstr(said, "images are broken, more than 1 %") && !lab_exists(&lab, "a"), "%s",
              said);
    free(said);
    cr_expect_eq(RUN(&lab, "--data", data, SMALL, "--normalize", "0.5/0.25", "--surrogates", "off",
                     "--name", "a"),
                 1);
    said = lab_text(lab.out);
    cr_expect_not_null(strstr(said, "broken image 1, left out: train/"), "%s", said);
    free(said);
    lab_close(&lab);
    scratch_remove(dir);
}

Test(images, a_training_on_them)
{
    struct lab lab;
    char dir[64], path[160], data[200];
    lab_open(&lab);
    imageset_make(dir, 40);
    snprintf(path, sizeof path, "%s/train/ant/011.jpg", dir);
    imageset_cut(path, 900);
    snprintf(data, sizeof data, "images:%s", dir);
#define OFTEN "--eval-every", "4", "--checkpoint-every", "4"
    cr_assert_eq(RUN(&lab, "--data", data, SMALL, "--name", "a"), 0, "%s", lab_text(lab.out));
    cr_expect_geq(lab_event(&lab, "a", "warning", "trainer"), 0, "the broken image is not named");
    json_t *log = lab_log(&lab, "a");
    json_t *eval = json_object_get(log, "eval/16");
    cr_assert_not_null(eval);
    cr_expect(json_is_number(json_object_get(eval, "probe")), "no probe");
    json_decref(log);
    // Its features, with the broken image named.
    char words[400], said[3000];
    snprintf(words, sizeof words, "probe %s/a", lab.dir);
    cr_expect_eq(imageset_command(said, sizeof said, words), 0, "%s", said);
    cr_expect_not_null(strstr(said, "broken, left out: train/ant/011.jpg"), "%s", said);
    // Of the packed file the same way.
    struct error e = {""};
    struct pack_progress made;
    snprintf(path, sizeof path, "%s/a.pack", dir);
    cr_assert_eq(imageset_pack(dir, path, 64, 1, &made, &e), 0, "%s", e.text);
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
