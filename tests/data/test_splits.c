// Folders of images whose splits have other names, or lie elsewhere: used, or said; and lists of
// labels as tables are written.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "data/sets/dataset_table.h"
#include "tests/kit/imageset.h"
#include "tests/kit/pictures.h"
#include "tests/kit/runs.h"

// A set with these folders of three classes of three, two, ... images.
static void make(char dir[64], const char *const *split, const char *inside)
{
    char path[96];
    scratch_make(dir);
    snprintf(path, sizeof path, "%s/%s", dir, inside);
    if (*inside)
        imageset_folder(path);
    for (int i = 0; split[i]; i++)
        imageset_split(path, split[i], 3 - i, i + 1);
}

// Images to train and to test on, and what is said of the former.
static void expect(const char *dir, int64_t train, int64_t test, const char *said)
{
    struct dataset d;
    struct error e = {""};
    cr_assert_eq(imageset_open("images", dir, &d, &e), 0, "%s", e.text);
    const char *notice = d.split[SPLIT_TRAIN].source->notice;
    cr_expect(d.split[SPLIT_TRAIN].n == train && d.split[SPLIT_TEST].n == test,
              "%lld to train on and %lld to test on", (long long)d.split[SPLIT_TRAIN].n,
              (long long)d.split[SPLIT_TEST].n);
    cr_expect(said ? notice && strstr(notice, said) : !notice, "%s", notice ? notice : "nothing");
    dataset_close(&d);
}

// Nobody means to train on test images by such names.
Test(splits, called_otherwise)
{
    static const struct {
        const char *folder[4];
        int64_t train, test;
        const char *said;
    } set[] = {
        {{"training_set", "test_set"}, 9, 6, "training_set is trained on, test_set is tested on"},
        {{"train2017", "val2017"}, 9, 6, "train2017 is trained on, val2017 is tested on"},
        {{"seg_train", "seg_test", "seg_pred"}, 9, 6, "seg_train and seg_test are read, not seg_p"},
        {{"TrainImages", "TestImages"}, 9, 6, "TrainImages is trained on"},
        {{"trainset", "testset"}, 9, 6, "trainset is trained on"},
        {{"train", "dev"}, 9, 6, NULL},
        {{"Train", "Validate"}, 9, 6, NULL},
        {{"train", "val_images"}, 9, 6, "val_images is tested on"},
        {{"train", "val", "test"}, 9, 6, "train and val are read, not test"},
        {{"train", "more"}, 9, 0, "nothing is probed; not read: more"},
        {{"train"}, 9, 0, NULL},
        {{"train_a", "test_b"}, 15, 0, "train_a and test_b are taken for classes"},
        {{"strain", "contest"}, 15, 0, NULL},
        {{"trained", "tested"}, 15, 0, NULL},
        {{"trainval", "test"}, 9, 6, NULL},
        {{"train", "val", "__MACOSX"}, 9, 6, NULL},
        {{"Validation", "Testing"}, 15, 0, "Validation is taken for a class and trained on"},
        {{"photos"}, 9, 0, "there is one class, photos: if the 3 folders in it are the classes"},
    };
    for (size_t i = 0; i < sizeof set / sizeof *set; i++) {
        char dir[64];
        make(dir, set[i].folder, "");
        expect(dir, set[i].train, set[i].test, set[i].said);
        scratch_remove(dir);
    }
}

// An archive's folder in the one that it was unpacked in; and splits of each class.
Test(splits, lie_deeper)
{
    static const char *const both[] = {"train", "test", NULL};
    char dir[64];
    make(dir, both, "archive");
    expect(dir, 9, 6, "they lie in archive");
    char other[96];
    snprintf(other, sizeof other, "%s/other", dir);
    imageset_folder(other);
    imageset_split(other, "train", 1, 9);
    expect(dir, 18, 0, "archive/train and archive/test lie in a class");
    scratch_remove(dir);
    // As Kaggle has ImageNet, alone and with what lies beside it; and as a Mac packs.
    scratch_make(dir);
    static const char *const deep[] = {"ILSVRC", "ILSVRC/Data", "ILSVRC/Data/CLS-LOC"};
    for (size_t i = 0; i < sizeof deep / sizeof *deep; i++) {
        snprintf(other, sizeof other, "%s/%s", dir, deep[i]);
        imageset_folder(other);
    }
    imageset_split(other, "train", 3, 1);
    imageset_split(other, "val", 2, 2);
    expect(dir, 9, 6, "they lie in ILSVRC/Data/CLS-LOC");
    snprintf(other, sizeof other, "%s/__MACOSX", dir);
    imageset_folder(other);
    expect(dir, 9, 6, "they lie in ILSVRC/Data/CLS-LOC");
    snprintf(other, sizeof other, "%s/ILSVRC/Annotations", dir);
    imageset_folder(other);
    expect(dir, 15, 0, "Data/CLS-LOC/train and ILSVRC/Data/CLS-LOC/val lie in a class");
    scratch_remove(dir);
}

// A list of labels that begins with a mark, is quoted, or has the plain name of its split.
Test(splits, labels_of_tables)
{
    static const struct {
        const char *folder, *file, *text;
    } list[] = {
        {"val", "val.txt",
         "\xef\xbb\xbf"
         "1.jpg 2\n"},
        {"val", "val.csv", "\"image\",\"label\"\r\n\"1.jpg\",\"2\"\r\n"},
        {"Validation", "val.txt", "1 2\n"},
        {"testing", "test_labels.txt", "1 2\n"},
    };
    static const char *const train[] = {"train", NULL};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        char dir[64], path[128];
        struct dataset d;
        struct error e = {""};
        make(dir, train, "");
        snprintf(path, sizeof path, "%s/%s", dir, list[i].folder);
        imageset_folder(path);
        snprintf(path, sizeof path, "%s/%s/1.jpg", dir, list[i].folder);
        picture_jpeg(path, 40, 40, 1);
        snprintf(path, sizeof path, "%s/%s", dir, list[i].file);
        picture_write(path, (const uint8_t *)list[i].text, strlen(list[i].text));
        cr_assert_eq(imageset_open("images", dir, &d, &e), 0, "%s", e.text);
        cr_expect(d.split[SPLIT_TEST].labels && d.split[SPLIT_TEST].labels[0] == 2, "%s",
                  list[i].file);
        dataset_close(&d);
        scratch_remove(dir);
    }
}
