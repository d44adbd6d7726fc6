// The directory of a ZIP archive is at its end and says where everything is (PKWARE's APPNOTE.TXT,
// 4.3): its end record, entries, and before the bytes of each file a header of its own.
#include "metrics/npz.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "metrics/base/other_file.h"
#include "metrics/base/text.h"

enum {
    END = 22,
    LOCATOR = 20,
    END64 = 56,
    ENTRY = 46,
    LOCAL = 30,
    COMMENT_MOST = 65535,
    STORED = 0,
    DEFLATED = 8,
    ENCRYPTED = 1,
    NAMES = 240 // bytes of a list of names
};

static uint64_t number(const unsigned char *p, int bytes)
{
    uint64_t v = 0;
    while (bytes-- > 0)
        v = v << 8 | p[bytes];
    return v;
}

static int is(const unsigned char *p, const char *signature)
{
    return memcmp(p, signature, 4) == 0;
}

int npz_is(const struct mapping *m)
{
    return m->size >= END && (is(m->data, "PK\3\4") || is(m->data, "PK\5\6"));
}

// Whether [at, at + n) lies in the file.
static int within(const struct mapping *m, uint64_t at, uint64_t n)
{
    return at <= m->size && n <= m->size - at;
}

struct directory {
    uint64_t at, end; // of what is still to be read
};

static int find_directory(const struct mapping *m, struct directory *d)
{
    size_t most = m->size - END < COMMENT_MOST ? m->size - END : COMMENT_MOST;
    for (size_t back = 0; back <= most; back++) {
        const unsigned char *p = m->data + m->size - END - back;
        if (!is(p, "PK\5\6") || number(p + 20, 2) != back)
            continue;
        uint64_t size = number(p + 12, 4), at = number(p + 16, 4);
        size_t before = m->size - END - back;
        if (before >= LOCATOR && is(p - LOCATOR, "PK\6\7")) {
            uint64_t wide = number(p - LOCATOR + 8, 8);
            if (!within(m, wide, END64) || !is(m->data + wide, "PK\6\6"))
                return -1;
            size = number(m->data + wide + 40, 8);
            at = number(m->data + wide + 48, 8);
        }
        if (!within(m, at, size))
            return -1;
        *d = (struct directory){at, at + size};
        return 0;
    }
    return -1;
}

struct member {
    const char *name; // not ended
    size_t name_len;
    int flags, method;
    uint32_t crc;
    uint64_t packed, size, at; // at: of its own header
};

// Sizes that do not fit are in a field of their own, in this order and only where they are needed.
static int widen(const unsigned char *extra, size_t n, struct member *e)
{
    for (size_t at = 0; n - at >= 4;) {
        size_t id = number(extra + at, 2), len = number(extra + at + 2, 2), used = 0;
        if (len > n - at - 4)
            return -1;
        uint64_t *wide[] = {&e->size, &e->packed, &e->at};
        for (int i = 0; id == 1 && i < 3; i++) {
            if (*wide[i] != UINT32_MAX)
                continue;
            if (len - used < 8)
                return -1;
            *wide[i] = number(extra + at + 4 + used, 8);
            used += 8;
        }
        at += 4 + len;
    }
    return 0;
}

// 1: the next file of the directory; 0: there is none; -1: broken.
static int next(const struct mapping *m, struct directory *d, struct member *e)
{
    if (d->at == d->end)
        return 0;
    const unsigned char *p = m->data + d->at;
    if (d->end - d->at < ENTRY || !is(p, "PK\1\2"))
        return -1;
    size_t name = number(p + 28, 2), extra = number(p + 30, 2), comment = number(p + 32, 2);
    if (name + extra + comment > d->end - d->at - ENTRY)
        return -1;
    *e = (struct member){.name = (const char *)p + ENTRY,
                         .name_len = name,
                         .flags = (int)number(p + 8, 2),
                         .method = (int)number(p + 10, 2),
                         .crc = (uint32_t)number(p + 16, 4),
                         .packed = number(p + 20, 4),
                         .size = number(p + 24, 4),
                         .at = number(p + 42, 4)};
    d->at += ENTRY + name + extra + comment;
    return widen(p + ENTRY + name, extra, e) < 0 ? -1 : 1;
}

// Without ".npy": the name that it was saved under. 0: it is no array.
static size_t array_name(const struct member *e)
{
    size_t n = e->name_len;
    return n > 4 && memcmp(e->name + n - 4, ".npy", 4) == 0 ? n - 4 : 0;
}

struct choice {
    struct member member;
    int arrays, found;
    char names[NAMES]; // of the arrays, with commas
};

static void list(struct choice *c, const struct member *e, size_t n)
{
    char name[64], clean[64];
    size_t used = strlen(c->names);
    text_copy(name, sizeof name, e->name, n);
    text_clean(clean, sizeof clean, name);
    if (used + strlen(clean) + sizeof ", ..." < sizeof c->names)
        snprintf(c->names + used, sizeof c->names - used, "%s%s", used ? ", " : "", clean);
    else if (used >= 3 && strcmp(c->names + used - 3, "...") != 0)
        strcat(c->names, ", ...");
}

static int choose(const struct mapping *m, const char *name, struct choice *c, struct error *e)
{
    struct directory d;
    struct member one;
    int rc = find_directory(m, &d);
    *c = (struct choice){0};
    while (rc == 0 && (rc = next(m, &d, &one)) == 1) {
        size_t n = array_name(&one);
        rc = 0;
        if (!n)
            continue;
        list(c, &one, n);
        if (!*name || (strlen(name) == n && memcmp(name, one.name, n) == 0)) {
            c->found++;
            c->member = one;
        }
        c->arrays++;
    }
    if (rc < 0)
        return error_set(e,
                         "is cut off or broken: its directory, at the end of a .npz, is not whole");
    if (!c->arrays && other_file(m->data, m->size) == other_file_torch)
        return error_set(e,
                         "%s: in Python, numpy.save(NEW, torch.load(FILE).numpy()) writes a tensor",
                         other_file_torch);
    if (!c->arrays)
        return error_set(e, "is a ZIP archive without an array (.npy) in it");
    if (!*name && c->found > 1)
        return error_set(e,
                         "holds %d arrays: %s; put a colon and the name of one behind the file's",
                         c->arrays, c->names);
    if (!c->found)
        return error_set(e, "holds no array of that name, but %s", c->names);
    return 0;
}

// ---------------------------------------------------------------- unpacking

struct packed {
    const unsigned char *data;
    uint64_t left, size; // of it; of what comes out
    uint32_t crc;        // of what came out
};

static int unpack(void *context, int fd, struct error *e)
{
    enum { BLOCK = 1 << 16 };
    struct packed *p = context;
    unsigned char out[BLOCK];
    uint64_t made = 0;
    z_stream z = {0};
    if (inflateInit2(&z, -MAX_WBITS) != Z_OK)
        return error_set(e, "cannot be unpacked: out of memory");
    int rc = 0, state = Z_OK;
    while (rc == 0 && state == Z_OK) {
        if (!z.avail_in) {
            z.next_in = (unsigned char *)p->data;
            z.avail_in = p->left < BLOCK ? (uInt)p->left : BLOCK;
            p->data += z.avail_in;
            p->left -= z.avail_in;
        }
        z.next_out = out;
        z.avail_out = BLOCK;
        state = inflate(&z, Z_NO_FLUSH);
        size_t n = BLOCK - z.avail_out;
        made += n;
        p->crc = (uint32_t)crc32(p->crc, out, (uInt)n);
        // No more than it says it is: a small file must not fill the disk.
        rc = made > p->size ? -1 : mapping_put(fd, out, n, e);
    }
    inflateEnd(&z);
    if (made > p->size || (rc == 0 && (state != Z_STREAM_END || made != p->size)))
        return error_set(e, "is broken: the array does not unpack to the size it says");
    return rc;
}

// In blocks that need not stay in memory.
static uint32_t checksum(const unsigned char *data, uint64_t n)
{
    static const uint64_t block = 1 << 24;
    uint32_t crc = 0;
    for (uint64_t at = 0; at < n; at += block)
        crc = (uint32_t)crc32(crc, data + at, (uInt)(n - at < block ? n - at : block));
    return crc;
}

int npz_find(const struct mapping *m, const char *name, struct mapping *unpacked,
             const unsigned char **data, size_t *size, struct error *e)
{
    struct choice c;
    if (choose(m, name, &c, e) < 0)
        return -1;
    const struct member *it = &c.member;
    uint64_t at = it->at;
    if (it->flags & ENCRYPTED)
        return error_set(e, "is encrypted");
    if (it->method != STORED && it->method != DEFLATED)
        return error_set(e, "is packed by method %d; np.savez and np.savez_compressed do not",
                         it->method);
    if (!within(m, at, LOCAL) || !is(m->data + at, "PK\3\4"))
        return error_set(e, "is broken: there is no array where its directory says");
    at += LOCAL + number(m->data + at + 26, 2) + number(m->data + at + 28, 2);
    if (!within(m, at, it->packed) || (it->method == STORED && it->packed != it->size))
        return error_set(e, "is cut off or broken: an array ends behind the file");
    uint32_t crc;
    if (it->method == STORED) {
        *data = m->data + at;
        crc = checksum(*data, it->size);
    } else {
        struct packed p = {.data = m->data + at, .left = it->packed, .size = it->size};
        if (mapping_make(unpacked, unpack, &p, e) < 0)
            return -1;
        *data = unpacked->data;
        crc = p.crc;
    }
    *size = it->size;
    if (crc == it->crc)
        return 0;
    mapping_close(unpacked);
    return error_set(e, "is damaged: the array's checksum is another");
}
