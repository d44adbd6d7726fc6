// IDX: a big-endian header (magic, sizes) and then bytes. Nothing that a header says is believed: a
// plain file must have exactly the size it promises, a .gz must be able to hold it, and memory
// grows only as bytes really come.
#include "data/sets/idx.h"
#include "metrics/base/other_file.h"
#include "metrics/base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "metrics/base/memory.h"

#define MAGIC_IMAGES    0x00000803u // unsigned bytes, three dimensions
#define MAGIC_LABELS    0x00000801u // unsigned bytes, one dimension
#define SIDE_MAX        4096
#define DEFLATE_MAX     1032u // the best ratio that deflate can reach
#define FIRST_BYTES     ((uint64_t)1 << 20)
#define FASHION_DIR     "/usr/share/datasets/fashion-mnist"
#define FASHION_ENV     "SSLTOP_FASHION_MNIST"
#define FASHION_CLASSES 10
#define FASHION_SIDE    28

static const char *const image_file[SPLIT_COUNT] = {"train-images-idx3-ubyte",
                                                    "t10k-images-idx3-ubyte"};
static const char *const label_file[SPLIT_COUNT] = {"train-labels-idx1-ubyte",
                                                    "t10k-labels-idx1-ubyte"};

// A file being read. zlib reads a plain file as it is, so both kinds take one way.
struct idx_file {
    gzFile gz;
    int compressed;
    uint64_t size;  // on disk
    uint64_t at;    // bytes of content read so far
    char path[256]; // for messages: its last bytes if it is longer
};

static uint32_t big_endian(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int is_folder(int fd)
{
    struct stat st;
    return fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

// Open DIR/NAME or DIR/NAME.gz, whichever is there; some tools unpack them with a dot before "idx",
// some into a folder of that name.
static int file_open(struct idx_file *f, const char *dir, const char *name, struct error *e)
{
    memset(f, 0, sizeof *f);
    size_t size = strlen(dir) + 2 * strlen(name) + sizeof "//.gz";
    char *path = malloc(size);
    if (!path)
        return error_set(e, "out of memory");
    int fd = -1, why = 0, folders = 0, kind = (int)(strstr(name, "idx") - name);
    for (int i = 0; i < 5 && fd < 0; i++) {
        if (i == 4)
            snprintf(path, size, "%s/%s/%s", dir, name, name);
        else
            snprintf(path, size, "%s/%.*s%c%s%s", dir, kind - 1, name, i < 2 ? '-' : '.',
                     name + kind, i % 2 ? ".gz" : "");
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (is_folder(fd)) {
            close(fd);
            fd = -1;
            folders++;
            continue;
        }
        if (fd < 0 && errno != ENOENT)
            why = errno;
        if (fd < 0 && why)
            break;
    }
    if (fd < 0 && !why)
        snprintf(path, size, "%s/%s%s", dir, name, folders ? "" : ".gz");
    size_t len = strlen(path), keep = sizeof f->path - 4;
    snprintf(f->path, sizeof f->path, "%s%s", len > keep ? "..." : "",
             len > keep ? path + len - keep : path);
    free(path);
    if (fd < 0 && why)
        return error_number(e, why, "cannot open %s", f->path);
    if (fd < 0 && folders)
        return error_set(e, "%s is not a regular file, nor is there one of that name in it",
                         f->path);
    if (fd < 0)
        return error_set(e, "%s is missing, and so is the same name without .gz", f->path);

    struct stat st;
    uint8_t start[2] = {0, 0};
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        error_set(e, "%s is not a regular file", f->path);
    else if (pread(fd, start, sizeof start, 0) < 0)
        error_system(e, "cannot read %s", f->path);
    else if (!(f->gz = gzdopen(fd, "rb")))
        error_set(e, "out of memory");
    if (!f->gz) {
        close(fd);
        return -1;
    }
    f->size = (uint64_t)st.st_size;
    f->compressed = start[0] == 0x1f && start[1] == 0x8b;
    gzbuffer(f->gz, 1u << 17);
    return 0;
}

// What stopped a read that should have given more, up to byte `expected` of the content.
static int read_failed(struct idx_file *f, uint64_t expected, struct error *e)
{
    int saved = errno, code = Z_OK;
    const char *text = gzerror(f->gz, &code);
    const char *content = f->compressed ? " of its content" : "";
    if (code == Z_ERRNO)
        return error_number(e, saved, "cannot read %s at byte %" PRIu64, f->path, f->at);
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
        return error_set(e, "%s is damaged at byte %" PRIu64 "%s: %s", f->path, f->at, content,
                         text);
    if (f->at >= expected)
        return error_set(e,
                         "%s is truncated: all %" PRIu64 " bytes of its content are there, but "
                         "the .gz ends before its checksum",
                         f->path, f->at);
    return error_set(e,
                     "%s is truncated: it ends at byte %" PRIu64 "%s, expected %" PRIu64 " bytes",
                     f->path, f->at, content, expected);
}

// Exactly n bytes; `expected` is how many the whole content should have, for the message.
static int read_exact(struct idx_file *f, uint8_t *to, uint64_t n, uint64_t expected,
                      struct error *e)
{
    while (n > 0) {
        unsigned ask = n < (1u << 24) ? (unsigned)n : 1u << 24;
        int got = gzread(f->gz, to, ask);
        if (got <= 0)
            return read_failed(f, expected, e);
        to += got;
        n -= (uint64_t)got;
        f->at += (uint64_t)got;
    }
    return 0;
}

// The header: a magic number and `dims` sizes.
static int read_header(struct idx_file *f, uint32_t magic, int dims, uint32_t *dim, struct error *e)
{
    uint8_t head[16];
    uint64_t n = 4 + 4 * (uint64_t)dims;
    if (read_exact(f, head, n, n, e) != 0)
        return -1;
    uint32_t got = big_endian(head);
    const char *other = got != magic ? other_file(head, n) : NULL;
    if (other)
        return error_set(e, "%s %s", f->path, other);
    if (got != magic)
        return error_set(e,
                         "%s has the wrong magic 0x%08" PRIx32 " at byte 0, expected 0x%08" PRIx32
                         " (IDX, unsigned bytes, %d dimension%s)",
                         f->path, got, magic, dims, dims > 1 ? "s" : "");
    for (int i = 0; i < dims; i++)
        dim[i] = big_endian(head + 4 + 4 * i);
    if (dim[0] == 0)
        return error_set(e, "%s holds 0 items by its header at byte 4, expected 1 or more",
                         f->path);
    for (int i = 1; i < dims; i++)
        if (dim[i] < 1 || dim[i] > SIDE_MAX)
            return error_set(e, "%s has images of %s %" PRIu32 " at byte %d, expected 1 to %d",
                             f->path, i == 1 ? "height" : "width", dim[i], 4 + 4 * i, SIDE_MAX);
    return 0;
}

// n bytes into *data, which grows, and then the end of the file.
static int read_whole(struct idx_file *f, uint64_t n, uint8_t **data, struct error *e)
{
    uint64_t whole = f->at + n, cap = 0, have = 0;
    while (have < n) {
        uint64_t want = cap == 0 ? FIRST_BYTES : cap * 2;
        if (memory_room(*data, cap, !f->compressed || want > n ? n : want) < 0)
            return error_set(e, "out of memory: %s needs %" PRIu64 " bytes", f->path, n);
        if (read_exact(f, *data + have, cap - have, whole, e) != 0)
            return -1;
        have = cap;
    }
    uint8_t more;
    int got = gzread(f->gz, &more, 1), code = Z_OK; // also checks the checksum of a .gz
    if (got > 0)
        return error_set(e,
                         "%s goes on after byte %" PRIu64 " of its content, expected its end there",
                         f->path, whole);
    gzerror(f->gz, &code);
    return got < 0 || (code != Z_OK && code != Z_STREAM_END) ? read_failed(f, whole, e) : 0;
}

// The n bytes after the header, malloc'd; the file must end there.
static int read_body(struct idx_file *f, uint64_t n, uint8_t **out, struct error *e)
{
    uint64_t whole = f->at + n; // n < 2^56
    if (f->compressed ? n / DEFLATE_MAX > f->size : whole != f->size)
        return error_set(e,
                         "%s promises %" PRIu64
                         " bytes by its header at byte 4, expected %s %" PRIu64
                         " for a file of its size",
                         f->path, whole, f->compressed ? "at most" : "exactly",
                         f->compressed ? f->size * DEFLATE_MAX : f->size);
    if (n > SIZE_MAX / 2)
        return error_set(e, "%s holds %" PRIu64 " bytes, more than this machine can address",
                         f->path, n);
    uint8_t *data = NULL;
    if (read_whole(f, n, &data, e) == 0) {
        *out = data;
        return 0;
    }
    free(data);
    return -1;
}

static int load_images(const char *dir, enum split which, struct dataset *out, struct error *e)
{
    struct idx_file f;
    uint32_t dim[3] = {0};
    struct dataset_split *s = &out->split[which];
    if (file_open(&f, dir, image_file[which], e) != 0)
        return -1;
    int rc = read_header(&f, MAGIC_IMAGES, 3, dim, e);
    if (rc == 0 && out->height && ((int)dim[1] != out->height || (int)dim[2] != out->width))
        rc = error_set(e, "%s has images of %" PRIu32 "x%" PRIu32 " at byte 8, expected %dx%d",
                       f.path, dim[1], dim[2], out->height, out->width);
    if (rc == 0)
        rc = read_body(&f, (uint64_t)dim[0] * dim[1] * dim[2], &s->images, e);
    if (rc == 0) {
        s->n = dim[0];
        out->channels = 1;
        out->height = (int)dim[1];
        out->width = (int)dim[2];
    }
    gzclose(f.gz);
    return rc;
}

// The s->n bytes as labels, each below `limit`; *classes becomes at least the largest + 1.
static int take_labels(const struct idx_file *f, const uint8_t *bytes, int limit,
                       struct dataset_split *s, int *classes, struct error *e)
{
    s->labels = s->n > 0 ? malloc((size_t)s->n * sizeof *s->labels) : NULL;
    if (!s->labels || !bytes)
        return error_set(e, "out of memory");
    for (int64_t i = 0; i < s->n; i++) {
        if (bytes[i] >= limit)
            return error_set(e, "%s has label %d at byte %" PRId64 ", expected 0 to %d", f->path,
                             bytes[i], i + 8, limit - 1);
        s->labels[i] = bytes[i];
        if (bytes[i] >= *classes)
            *classes = bytes[i] + 1;
    }
    return 0;
}

// After the images of the split: there must be as many labels, each below `limit`.
static int load_labels(const char *dir, enum split which, int limit, struct dataset *out,
                       struct error *e)
{
    struct idx_file f;
    uint32_t n = 0;
    uint8_t *bytes = NULL;
    struct dataset_split *s = &out->split[which];
    if (file_open(&f, dir, label_file[which], e) != 0)
        return -1;
    int rc = read_header(&f, MAGIC_LABELS, 1, &n, e);
    if (rc == 0 && n != s->n)
        rc = error_set(e,
                       "%s holds %" PRIu32 " labels at byte 4, expected %" PRId64
                       ", as many as there are images",
                       f.path, n, s->n);
    if (rc == 0)
        rc = read_body(&f, n, &bytes, e);
    if (rc == 0)
        rc = take_labels(&f, bytes, limit, s, &out->classes, e);
    free(bytes);
    gzclose(f.gz);
    return rc;
}

// The folder, or that in it where torchvision puts the files.
static int find_inside(const char *dir, struct path *at, struct error *e)
{
    static const char *const folder[] = {"raw", "MNIST/raw", "FashionMNIST/raw", "KMNIST/raw"};
    const char *found = NULL;
    struct idx_file f;
    *at = path_of("%s", dir);
    if (file_open(&f, dir, image_file[0], NULL) == 0) {
        gzclose(f.gz);
        return 0;
    }
    for (size_t i = 0; i < sizeof folder / sizeof *folder; i++) {
        struct path inside = path_of("%s/%s", dir, folder[i]);
        if (file_open(&f, inside.s, image_file[0], NULL) != 0)
            continue;
        gzclose(f.gz);
        if (found)
            return error_set(e, "%.200s has %s and %s: name one of them, too", dir, found,
                             folder[i]);
        found = folder[i];
        *at = inside;
    }
    return 0;
}

static int load(const char *dir, int limit, struct dataset *out, struct error *e)
{
    struct stat st;
    if (stat(dir, &st) != 0)
        return error_set(e,
                         "cannot open the folder %.200s: %s; expected one with %s, plain or .gz, "
                         "and the three files that go with it",
                         dir, strerror(errno), image_file[0]);
    if (!S_ISDIR(st.st_mode))
        return error_set(e, "%.300s is not a folder", dir);
    struct path at;
    if (find_inside(dir, &at, e) < 0)
        return -1;
    for (int s = 0; s < SPLIT_COUNT; s++)
        if (load_images(at.s, (enum split)s, out, e) != 0 ||
            load_labels(at.s, (enum split)s, limit, out, e) != 0)
            return -1;
    return 0;
}

int idx_open(const char *dir, uint64_t seed, struct dataset *out, struct error *e)
{
    return load(dir, 256, out, e);
}

int idx_open_fashion_mnist(const char *argument, uint64_t seed, struct dataset *out,
                           struct error *e)
{
    const char *set = getenv(FASHION_ENV);
    const char *dir = set && set[0] ? set : FASHION_DIR;
    if (access(dir, F_OK) != 0)
        return error_set(e,
                         "Fashion-MNIST is not in %.200s: install it with `apt-get install "
                         "dataset-fashion-mnist`, or say where its four files are with --data "
                         "idx:DIR",
                         dir);
    out->height = out->width = FASHION_SIDE; // what the files must then agree with
    if (load(dir, FASHION_CLASSES, out, e) != 0)
        return -1;
    out->classes = FASHION_CLASSES;
    out->mean[0] = 0.2860f; // published
    out->std[0] = 0.3530f;
    return 0;
}
