// Files that were handed in instead, told by how they begin; the cases are what people download,
// save and pack.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/other_file.h"

#define HEAD(text) text, sizeof(text) - 1

Test(other_file, says_what_it_is)
{
    static const struct {
        const char *head;
        size_t n;
        const char *says; // NULL: nothing
    } file[] = {
        {HEAD("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"},
        {HEAD("<!DOCTYPE html>"), "web page"},
        {HEAD("\xef\xbb\xbf\r\n <HTML lang=en>"), "web page"},
        {HEAD("<?xml version=\"1.0\"?><Error>"), "is XML"},
        {HEAD("{\"error\":\"none\"}"), "is JSON"},
        {HEAD("404: Not Found"), "is a text"},
        {HEAD("PK\3\4\24\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0archive/data.pkl"),
         "torch.save"},
        {HEAD("PK\3\4\24\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\7\0\0\0"
              "abc.npy"),
         ".npz"},
        {HEAD("PK\3\4\24\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\7\0\0\0"
              "abc.csv"),
         "ZIP archive: unpack"},
        {HEAD("PK\3\4"), "torch.save"},
        {HEAD("\x80\2}q\1"), "torch.save"},
        {HEAD("\x93NUMPY\1\0"), "NumPy"},
        {HEAD("\x1f\x8b\b\0"), "gunzip"},
        {HEAD("\x28\xb5\x2f\xfd\4"), "unzstd"},
        {HEAD("\xfd"
              "7zXZ\0"),
         "unxz"},
        {HEAD("\x89HDF\r\n"), "HDF5"},
        {HEAD("\1\2\3\4\5\6"), NULL},
        {HEAD("\xff\xd8\xff\xe0"), NULL},
        {HEAD(""), NULL},
        {HEAD("   \n"), NULL},
    };
    for (size_t i = 0; i < sizeof file / sizeof *file; i++) {
        const char *says = other_file(file[i].head, file[i].n);
        cr_expect(file[i].says ? says && strstr(says, file[i].says) : !says, "%zu: %s", i,
                  says ? says : "nothing");
    }
}

// Cut off anywhere it is told at most less.
Test(other_file, reads_no_further)
{
    static const char head[] =
        "PK\3\4\24\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\0\0a.npy";
    for (size_t n = 0; n < sizeof head; n++) {
        char *exact = memcpy(malloc(n + !n), head, n);
        const char *says = other_file(exact, n);
        cr_expect(n < 4 || says == other_file_torch, "%zu: %s", n, says ? says : "nothing");
        free(exact);
    }
}

// A tape archive is told by a word far behind its first name.
Test(other_file, tar)
{
    char head[512] = "checkpoint/";
    memcpy(head + 257, "ustar", 5);
    const char *says = other_file(head, sizeof head);
    cr_expect(says && strstr(says, "tar"), "%s", says ? says : "nothing");
    cr_expect_null(other_file(head, 200));
}
