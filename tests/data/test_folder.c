// The walk through a folder of classes: links that go round or out, and what is passed over.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/sets/dataset.h"
#include "tests/kit/imageset.h"
#include "tests/kit/pictures.h"
#include "tests/kit/runs.h"

static void link_to(const char *target, const char *dir, const char *name)
{
    char path[500];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    cr_assert_eq(symlink(target, path), 0, "%s", path);
}

static void image_at(const char *dir, const char *name)
{
    char path[500];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    picture_jpeg(path, 40, 50, 1);
}

static void folder_at(const char *dir, const char *name)
{
    char path[500];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    imageset_folder(path);
}

// Training images of DIR, and what is said about it.
static int64_t count(const char *dir, char *notice, size_t size)
{
    struct dataset d;
    struct error e;
    cr_assert_eq(imageset_open("images", dir, &d, &e), 0, "%s", e.text);
    const struct pictures *s = d.split[SPLIT_TRAIN].source;
    snprintf(notice, size, "%s", s->notice ? s->notice : "");
    int64_t n = s->n;
    dataset_close(&d);
    return n;
}

// Folders of classes that link to each other: there are more ways through them than anybody can
// walk, yet every class has every folder once.
Test(folder, links_between_all_classes, .timeout = 60)
{
    enum { CLASSES = 12 };
    char dir[64], path[160], target[40], name[40], notice[400];
    scratch_make(dir);
    for (int i = 0; i < CLASSES; i++) {
        snprintf(name, sizeof name, "c%02d", i);
        folder_at(dir, name);
        snprintf(path, sizeof path, "%s/%s", dir, name);
        image_at(path, "a.jpg");
        for (int j = 0; j < CLASSES; j++) {
            snprintf(target, sizeof target, "../c%02d", j);
            snprintf(name, sizeof name, "to%02d", j);
            link_to(target, path, name);
        }
    }
    cr_expect_eq(count(dir, notice, sizeof notice), CLASSES * CLASSES);
    cr_expect_str_eq(notice, "");
    scratch_remove(dir);
}

// Neither DIR nor what it lies in belongs to a class, whichever way a link goes there.
Test(folder, links_to_outer_folders)
{
    char dir[64], set[100], path[160], notice[400];
    scratch_make(dir);
    folder_at(dir, "set");
    folder_at(dir, "away");
    snprintf(set, sizeof set, "%s/set", dir);
    imageset_split(set, "train", 2, 1);
    imageset_split(set, "val", 3, 2);
    image_at(dir, "outside.jpg");
    snprintf(path, sizeof path, "%s/away", dir);
    image_at(path, "other.jpg");
    snprintf(path, sizeof path, "%s/set/train/ant", dir);
    link_to("..", path, "up1");
    link_to("../..", path, "up2");
    link_to("../../..", path, "up3");
    link_to("/tmp", path, "up4");
    link_to(dir, path, "up5");
    cr_expect_eq(count(set, notice, sizeof notice), 6);
    // The same where the classes are links to where the images are.
    folder_at(dir, "linked");
    snprintf(path, sizeof path, "%s/linked", dir);
    link_to("../set/train/ant", path, "ant");
    link_to("../set/train/bee", path, "bee");
    cr_expect_eq(count(path, notice, sizeof notice), 4);
    cr_expect_str_eq(notice, "");
    // A link to elsewhere is followed, twice there counts once.
    snprintf(path, sizeof path, "%s/set/train/bee", dir);
    link_to("../../../away", path, "one");
    link_to("../../../away", path, "two");
    cr_expect_eq(count(set, notice, sizeof notice), 7);
    scratch_remove(dir);
}

Test(folder, says_what_it_passes_over)
{
    char dir[64], path[300], notice[400], words[300], said[2000];
    scratch_make(dir);
    imageset_split(dir, "train", 12, 1);
    snprintf(path, sizeof path, "%s/train", dir);
    cr_expect_eq(count(dir, notice, sizeof notice), 36);
    cr_expect_str_eq(notice, "");
    image_at(path, "one.jpg");
    image_at(path, "two.png");
    folder_at(path, "dog");
    folder_at(path, "elk");
    // ant is 1 deep; 32 still counts.
    size_t at = strlen(path);
    at += (size_t)snprintf(path + at, sizeof path - at, "/ant");
    for (int depth = 2; depth <= 33; depth++) {
        at += (size_t)snprintf(path + at, sizeof path - at, "/d");
        imageset_folder(path);
        if (depth >= 32)
            image_at(path, "deep.jpg");
    }
    cr_expect_eq(count(dir, notice, sizeof notice), 37);
    cr_expect_str_eq(notice, "passed over in train: 2 images beside the folders of classes; 2 "
                             "classes without an image, the first is dog; 1 folder more than 32 "
                             "deep");
    // Said by commands, and by the trainer.
    snprintf(words, sizeof words, "pack images:%s -o %s/a.pack --size 40", dir, dir);
    cr_expect_eq(imageset_command(said, sizeof said, words), 0, "%s", said);
    cr_expect_not_null(strstr(said, "passed over in train: 2 images beside"), "%s", said);
    struct lab lab;
    char data[100];
    lab_open(&lab);
    snprintf(data, sizeof data, "images:%s", dir);
    cr_assert_eq(RUN(&lab, "--data", data, "--image-size", "32", "--width", "4", "--batch", "8",
                     "--threads", "1", "--dry-run"),
                 0);
    char *dry = lab_text(lab.out);
    cr_expect_not_null(strstr(dry, "passed over in train: 2 images beside"), "%s", dry);
    free(dry);
    cr_assert_eq(RUN(&lab, "--data", data, "--image-size", "32", "--width", "4", "--batch", "8",
                     "--threads", "1", "--precision", "f32", "--steps", "1", "--name", "a"),
                 0, "%s", lab_text(lab.out));
    cr_expect_eq(lab_event(&lab, "a", "warning", "trainer"), 0);
    json_t *events = lab_events(&lab, "a");
    char *log = json_dumps(events, JSON_COMPACT);
    json_decref(events);
    cr_expect_not_null(strstr(log, "passed over in train: 2 images beside"), "%s", log);
    free(log);
    lab_close(&lab);
    scratch_remove(dir);
}
