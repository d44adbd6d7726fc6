// Data sets as files: IDX, CIFAR, STL-10, packed files, folders of images. What a header has to
// agree with is made here, so that the fuzzer is not stopped by it; what it says wrong is still the
// input's.
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "data/sets/dataset_table.h"
#include "data/sets/pack.h"
#include "metrics/base/path.h"
#include "tests/fuzz/foreign.h"

// Pictures that are read when they are needed: some of them, in two crops.
static void look_at(struct pictures *s)
{
    enum { SOME = 4, SIDE = 8 };
    struct pictures_reader *reader;
    fuzz_require(pictures_reader_new(s, &reader, NULL) == 0);
    for (int64_t i = 0; i < s->n && i < SOME; i++) {
        int h = s->size[i].height, w = s->size[i].width;
        struct box crop[2] = {{0, 0, h, w}, {h / 3.0, w / 2.0, h / 2.0, w / 3.0}}, box[2];
        struct picture p;
        char name[64];
        if (pictures_read(reader, i, crop, 2, SIDE, SIDE, &p, box, NULL) == 0)
            for (int k = 0; k < 2; k++)
                fuzz_require(box[k].top >= 0 && box[k].left >= 0 &&
                             box[k].top + box[k].height <= p.height + 1e-6 &&
                             box[k].left + box[k].width <= p.width + 1e-6);
        s->ops->name(s, i, name, sizeof name);
    }
    pictures_reader_free(reader);
    pictures_check(s, NULL);
}

static void open_set(const char *kind, const char *where)
{
    struct dataset d;
    struct error e = {""};
    char spec[4096];
    snprintf(spec, sizeof spec, "%s:%s", kind, where);
    int rc = dataset_open_sized(spec, 1, 16, 1, &d, &e);
    fuzz_require(rc == 0 || *e.text);
    if (rc < 0)
        return;
    int64_t first;
    dataset_crc(&d);
    for (int s = 0; s < SPLIT_COUNT; s++) {
        const struct dataset_split *p = &d.split[s];
        fuzz_require(p->n >= 0 && (p->images || p->source || !p->n));
        for (int64_t i = 0; p->labels && i < p->n; i++)
            fuzz_require(p->labels[i] >= -1 && p->labels[i] < d.classes);
        int64_t n = dataset_labelled(&d, (enum split)s, &first);
        fuzz_require(n == 0 || (first >= 0 && first + n <= p->n));
        if (p->source)
            look_at(p->source);
    }
    for (int c = 0; c < d.channels; c++)
        fuzz_require(d.std[c] > 0);
    dataset_close(&d);
}

// --- IDX: for each file a byte (absent, .gz, a dot in its name), two of length, its bytes ---

static void put_gz(const char *name, struct input file)
{
    unsigned char out[4096];
    z_stream z = {0};
    fuzz_require(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    z.next_in = (Bytef *)(uintptr_t)file.p;
    z.avail_in = (uInt)file.n;
    z.next_out = out;
    z.avail_out = sizeof out;
    deflate(&z, Z_FINISH);
    foreign_put(name, out, sizeof out - z.avail_out);
    deflateEnd(&z);
}

int fuzz_idx(const uint8_t *data, size_t size)
{
    static const char *const name[][2] = {{"train-images", "idx3-ubyte"},
                                          {"train-labels", "idx1-ubyte"},
                                          {"t10k-images", "idx3-ubyte"},
                                          {"t10k-labels", "idx1-ubyte"}};
    struct input in = {data, size};
    foreign_clear();
    for (int i = 0; i < 4; i++) {
        char text[64];
        unsigned how = input_byte(&in);
        struct input file = input_take(&in, input_number(&in, 2));
        snprintf(text, sizeof text, "%s%c%s%s", name[i][0], how & 4 ? '.' : '-', name[i][1],
                 how & 2 ? ".gz" : "");
        if (how & 2 && !(how & 8))
            put_gz(text, file);
        else if (!(how & 1))
            foreign_put(text, file.p, file.n);
    }
    open_set("idx", foreign_folder());
    return 0;
}

// --- files of records of one size: of each the number of records, bytes too many, labels ---

struct fixed {
    const char *name;
    size_t record, labels; // bytes, and of these labels
};

static void put_fixed(struct input *in, const struct fixed *file, int n, const char *folder)
{
    static unsigned char bytes[4 * 27648 + 64];
    for (int i = 0; i < n; i++) {
        unsigned how = input_byte(in);
        size_t records = how & 3, more = how >> 2 & 7, all = records * file[i].record;
        memset(bytes, (int)(how >> 5), sizeof bytes);
        for (size_t k = 0; k < records; k++)
            for (size_t l = 0; l < file[i].labels; l++)
                bytes[k * file[i].record + l] = input_byte(in);
        if (how < 0xf8)
            foreign_put(path_of("%s%s", folder, file[i].name).s, bytes,
                        all + (more < 5 ? 0 : more));
    }
}

int fuzz_cifar(const uint8_t *data, size_t size)
{
    static const struct fixed ten[] = {{"data_batch_1.bin", 3073, 1}, {"data_batch_2.bin", 3073, 1},
                                       {"data_batch_3.bin", 3073, 1}, {"data_batch_4.bin", 3073, 1},
                                       {"data_batch_5.bin", 3073, 1}, {"test_batch.bin", 3073, 1}};
    static const struct fixed hundred[] = {{"train.bin", 3074, 2}, {"test.bin", 3074, 2}};
    struct input in = {data, size};
    unsigned how = input_byte(&in);
    foreign_clear();
    if (how & 1)
        put_fixed(&in, ten, 6, "");
    else
        put_fixed(&in, hundred, 2, "");
    if (how & 2) // as Python has it
        foreign_put(how & 1 ? "data_batch_1" : "train", data, size);
    open_set(how & 1 ? "cifar10" : "cifar100", foreign_folder());
    return 0;
}

int fuzz_stl(const uint8_t *data, size_t size)
{
    static const struct fixed file[] = {{"unlabeled_X.bin", 27648, 0},
                                        {"train_X.bin", 27648, 0},
                                        {"train_y.bin", 1, 1},
                                        {"test_X.bin", 27648, 0},
                                        {"test_y.bin", 1, 1}};
    struct input in = {data, size};
    foreign_clear();
    put_fixed(&in, file, 5, "");
    open_set("stl10", foreign_folder());
    return 0;
}

// --- packed: how (bits), the head, the rest of the file ---

int fuzz_pack(const uint8_t *data, size_t size)
{
    static unsigned char file[1 << 13];
    enum { HEAD_AS_IT_IS = 1, INDEX_AS_IT_IS = 2, PLACE_AS_IT_IS = 4 };
    struct input in = {data, size};
    unsigned how = input_byte(&in);
    struct pack_head h = {.zero = 0};
    struct input head = input_take(&in, sizeof h);
    memcpy(&h, head.p, head.n);
    if (!(how & HEAD_AS_IT_IS)) {
        memcpy(h.magic, PACK_MAGIC, sizeof h.magic);
        h.version = PACK_VERSION;
    }
    if (!(how & PLACE_AS_IT_IS)) { // the index is what entries and names need, at the end
        uint64_t bytes =
            ((uint64_t)(h.n[0] & 7) + (uint64_t)(h.n[1] & 7)) * sizeof(struct pack_entry) +
            (how >> 4);
        h.n[0] &= 7;
        h.n[1] &= 7;
        h.index_bytes = bytes < in.n ? bytes : in.n;
        h.index_at = sizeof h + in.n - h.index_bytes;
    }
    memcpy(file + sizeof h, in.p, in.n);
    if (!(how & INDEX_AS_IT_IS) && h.index_at >= sizeof h && h.index_at <= sizeof h + in.n &&
        h.index_bytes <= sizeof h + in.n - h.index_at)
        h.index_crc = (uint32_t)crc32_z(0, file + h.index_at, h.index_bytes);
    if (!(how & HEAD_AS_IT_IS))
        h.crc = (uint32_t)crc32_z(0, (const Bytef *)&h, offsetof(struct pack_head, crc));
    memcpy(file, &h, sizeof h);
    open_set("pack", foreign_file(0, file, sizeof h + in.n));
    return 0;
}

// --- a folder of images: a line for a path ("train/cat/1.png"), how (bits), and where they say so
// two bytes of length and the file ---

// 2 x 2, gray.
static const unsigned char small_png[] = {
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44,
    0x52, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x02, 0x08, 0x00, 0x00, 0x00, 0x00, 0x57,
    0xdd, 0x52, 0xf8, 0x00, 0x00, 0x00, 0x0e, 0x49, 0x44, 0x41, 0x54, 0x78, 0xda, 0x63, 0xe0,
    0x3a, 0xc1, 0x10, 0xa5, 0x01, 0x00, 0x04, 0x34, 0x01, 0x55, 0x61, 0x5b, 0x92, 0x31, 0x00,
    0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82};

// The path without what would lead out of the folder; its folders are made.
static int make_way(char *path)
{
    char full[1024];
    struct stat st;
    int depth = 0;
    for (char *at = path; *at == '/' || *at == '.'; at++)
        *at = '_';
    for (char *at = strstr(path, "/."); at; at = strstr(at, "/."))
        at[1] = '_';
    for (char *at = strchr(path, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        snprintf(full, sizeof full, "%s/%s", foreign_folder(), path);
        *at = '/';
        if (depth++ == 4 || (mkdir(full, 0700) < 0 && (lstat(full, &st) || !S_ISDIR(st.st_mode))))
            return 0; // nothing is written behind a link
    }
    return *path && path[strlen(path) - 1] != '/';
}

int fuzz_folder(const uint8_t *data, size_t size)
{
    enum { FILES = 24 };
    struct input in = {data, size};
    char path[200], full[1024];
    struct stat st;
    foreign_clear();
    for (int i = 0; i < FILES && input_line(&in, path, sizeof path); i++) {
        unsigned how = input_byte(&in);
        struct input file = {small_png, sizeof small_png};
        if (how & 1)
            file = input_take(&in, input_number(&in, 2));
        int is_free = make_way(path);
        snprintf(full, sizeof full, "%s/%s", foreign_folder(), path);
        if (is_free && lstat(full, &st) < 0 && strlen(path) < 150) {
            if (how & 2 && symlink(strchr(path, '/') ? "../train" : "train", full) == 0)
                continue;
            foreign_put(path, file.p, file.n);
        }
    }
    open_set("images", foreign_folder());
    return 0;
}
