// Magic numbers, as file(1) has them; of text the first word.
#include "metrics/base/other_file.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "metrics/base/error.h"

#define COMPRESSED(by, tool) "is compressed by " by ": " tool " makes it one that can be read"
#define PAGE                 "is a web page, perhaps one about the file or a login: load the file itself"

const char other_file_torch[] = "is a file of torch.save";
const char other_file_text[] =
    "is a text; perhaps the answer of a server that did not have the file";
const char other_file_json[] =
    "is JSON; of a model in several files (model.safetensors.index.json) it lists these";

static const struct {
    const char *begins, *says;
} binary[] = {
    {"\x80\2\x8a\nl\xfc\x9c", other_file_torch}, // before version 1.6: pickles, the first a number
    {"\x80\2", other_file_torch},                // pickled by hand
    {"\x80\3", other_file_torch},
    {"\x80\4", other_file_torch},
    {"\x80\5", other_file_torch},
    {"\x93NUMPY", "is an array of NumPy (.npy)"},
    {"\x89HDF", "is an HDF5 file, as Keras writes them: save it from PyTorch's names and tensors"},
    {"GGUF", "is a GGUF file, not a safetensors file"},
    {"PAR1", "is a Parquet file"},
    {"MATLAB 5.0", "is a file of MATLAB"},
    {"\x1f\x8b", COMPRESSED("gzip", "gunzip")},
    {"\xfd"
     "7zXZ",
     COMPRESSED("xz", "unxz")},
    {"BZh", COMPRESSED("bzip2", "bunzip2")},
    {"\x28\xb5\x2f\xfd", COMPRESSED("zstd", "unzstd")},
    {"\x04\x22\x4d\x18", COMPRESSED("lz4", "lz4 -d")},
    {"7z\xbc\xaf", "is an archive of 7-Zip: unpack it"},
    {"Rar!", "is an archive of RAR: unpack it"},
};

static const struct {
    const char *begins, *says;
} text[] = {
    {"version https:",
     "is a pointer of Git LFS, not the file that it stands for: git lfs pull brings that"},
    {"<!doctype", PAGE},
    {"<html", PAGE},
    {"<head", PAGE},
    {"<?xml", "is XML, perhaps the answer of a server that did not give the file"},
    {"{", other_file_json},
    {"[", other_file_json},
};

// By the first file in it.
static const char *zip(const unsigned char *p, size_t n)
{
    enum { NAME_SIZE = 26, NAME = 30 };
    size_t name = n > NAME ? (size_t)p[NAME_SIZE] + 256 * (size_t)p[NAME_SIZE + 1] : 0;
    size_t there = name < n - NAME ? name : n - NAME;
    if (!name)
        return other_file_torch;
    if (name > 4 && name == there && memcmp(p + NAME + name - 4, ".npy", 4) == 0)
        return "is an archive of NumPy's arrays (.npz)";
    if (memmem(p + NAME, there, "data.pkl", 8) || there < name)
        return other_file_torch;
    return "is a ZIP archive: unpack it";
}

static int is_text(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isprint(p[i]) && !isspace(p[i]))
            return 0;
    return n > 0;
}

const char *other_file(const void *head, size_t n)
{
    enum { TAR = 257 };
    const unsigned char *p = head;
    for (size_t i = 0; i < sizeof binary / sizeof *binary; i++) {
        size_t len = strlen(binary[i].begins);
        if (len <= n && memcmp(p, binary[i].begins, len) == 0)
            return binary[i].says;
    }
    if (n >= 4 && memcmp(p, "PK\3\4", 4) == 0)
        return zip(p, n);
    if (n >= TAR + 5 && memcmp(p + TAR, "ustar", 5) == 0)
        return "is an archive of tar: unpack it";
    if (n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) // as Windows begins a text
        p += 3, n -= 3;
    for (; n && isspace(*p); n--)
        p++;
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        size_t len = strlen(text[i].begins);
        if (len <= n && strncasecmp((const char *)p, text[i].begins, len) == 0)
            return text[i].says;
    }
    return is_text(p, n < OTHER_FILE_HEAD ? n : OTHER_FILE_HEAD) ? other_file_text : NULL;
}

int other_file_refused(const char *path, struct error *e)
{
    unsigned char head[512];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd >= 0 ? pread(fd, head, sizeof head, 0) : -1;
    const char *says = n > 0 ? other_file(head, (size_t)n) : NULL;
    if (fd >= 0)
        close(fd);
    return says ? error_set(e, "%.300s %s", path, says) : 0;
}
