// Text that comes from files: what is UTF-8, and what of it may reach a terminal.
#include "metrics/base/text.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics/base/path.h"

Test(text, clean)
{
    static const struct {
        const char *in, *out;
    } row[] = {
        {"", ""},
        {"plain", "plain"},
        {"\x1b[31mred\x1b[0m\n", "?[31mred?[0m?"},
        {"\x7f\x01\t", "???"},
        {"\xc2\x9b"
         "31m",
         "?31m"},
        {"\xc2\xa0", "\xc2\xa0"},
        {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x92\xa9", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x92\xa9"},
        {"a\xff\xc3", "a??"},
        {"\xed\xa0\x80", "???"},
        {"\xc0\x80", "??"},
    };
    char buf[64];
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        text_clean(buf, sizeof buf, row[i].in);
        cr_assert_str_eq(buf, row[i].out);
        strcpy(buf, row[i].in);
        text_clean(buf, sizeof buf, buf);
        cr_assert_str_eq(buf, row[i].out, "in place");
    }
    // Too little room: cut between characters.
    for (size_t size = 1; size <= 7; size++) {
        memset(buf, 'x', sizeof buf);
        text_clean(buf, size, "\xe2\x82\xac\xe2\x82\xac");
        cr_assert_eq(strlen(buf), (size - 1) / 3 * 3);
        cr_assert_eq(buf[size], 'x');
    }
    buf[0] = 'x';
    text_clean(buf, 0, "a");
    cr_assert_eq(buf[0], 'x');
}

// Every byte string of up to three bytes, and samples of four, against a decoder written from the
// table of well-formed sequences (Unicode, table 3-7).
static int well_formed(const unsigned char *s, size_t n)
{
    static const unsigned char table[9][8] = {
        {0x00, 0x7f},
        {0xc2, 0xdf, 0x80, 0xbf},
        {0xe0, 0xe0, 0xa0, 0xbf, 0x80, 0xbf},
        {0xe1, 0xec, 0x80, 0xbf, 0x80, 0xbf},
        {0xed, 0xed, 0x80, 0x9f, 0x80, 0xbf},
        {0xee, 0xef, 0x80, 0xbf, 0x80, 0xbf},
        {0xf0, 0xf0, 0x90, 0xbf, 0x80, 0xbf, 0x80, 0xbf},
        {0xf1, 0xf3, 0x80, 0xbf, 0x80, 0xbf, 0x80, 0xbf},
        {0xf4, 0xf4, 0x80, 0x8f, 0x80, 0xbf, 0x80, 0xbf},
    };
    for (int row = 0; row < 9; row++) {
        size_t len = row < 1 ? 1 : row < 2 ? 2 : row < 6 ? 3 : 4, i = 0;
        while (i < len && i < n && s[i] >= table[row][2 * i] && s[i] <= table[row][2 * i + 1])
            i++;
        if (i == len)
            return (int)len;
    }
    return 0;
}

Test(text, utf8)
{
    for (uint32_t v = 0; v < 1u << 24; v += v < 0xc00000 ? 251 : 1) {
        unsigned char s[4] = {(unsigned char)(v >> 16), (unsigned char)(v >> 8), (unsigned char)v,
                              0x80};
        for (size_t n = 1; n <= 4; n++)
            if (text_utf8((char *)s, n, NULL) != well_formed(s, n))
                cr_assert(0, "%06x of %zu bytes", v, n);
    }
}

Test(text, quotes_what_a_shell_would_take_apart)
{
    static const char *const row[][2] = {
        {"a", "a"},
        {"/runs/a-b_1.x", "/runs/a-b_1.x"},
        {"c d", "'c d'"},
        {"", "''"},
        {"it's", "'it'\\''s'"},
        {"$x", "'$x'"},
        {"größer", "'größer'"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char text[64];
        text_quote(text, sizeof text, row[i][0]);
        cr_expect_str_eq(text, row[i][1]);
    }
    char small[4];
    text_quote(small, sizeof small, "a b c d");
    cr_expect_str_eq(small, "'a ");
}

// Lines and words put together again are what was taken apart.
Test(text, lines_and_words)
{
    static const struct {
        const char *text;
        char separator;
        int n;
        const char *joined; // by '/', each with one behind it
    } row[] = {
        {"", '\n', 0, ""},
        {"a", '\n', 1, "a/"},
        {"a\n", '\n', 1, "a/"},
        {"\n", '\n', 1, "/"},
        {"a\n\nb", '\n', 3, "a//b/"},
        {"", ',', 0, ""},
        {"a,b", ',', 2, "a/b/"},
        {"a,,b,", ',', 3, "a//b/"},
        {",a", ',', 2, "/a/"},
        {"  a  bc ", ' ', 2, "a/bc/"},
        {"   ", ' ', 0, ""},
        {"a|b c", '|', 2, "a/b c/"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char joined[64] = "";
        const char *rest = row[i].text, *piece;
        size_t n, at = 0, size = strlen(row[i].text);
        int count = 0;
        while (row[i].separator == '\n'
                   ? text_line(row[i].text, size, &at, &piece, &n)
                   : (piece = text_word(&rest, row[i].separator, &n)) != NULL) {
            strncat(joined, piece, n);
            strcat(joined, "/");
            count++;
        }
        cr_expect_eq(count, row[i].n, "row %zu", i);
        cr_expect_str_eq(joined, row[i].joined, "row %zu", i);
    }
    // Lines with a NUL in them, and not a byte behind the end.
    const char *line;
    size_t len, at = 0;
    cr_expect(text_line("a\0b\ncd", 5, &at, &line, &len) && len == 3 && at == 4);
    cr_expect(text_line("a\0b\ncd", 5, &at, &line, &len) && len == 1 && at == 5);
    cr_expect(!text_line("a\0b\ncd", 5, &at, &line, &len));
}

Test(text, small_and_nothing_else_is_read)
{
    static const struct {
        const char *bytes;
        size_t n;
        int is_read;
    } rows[] = {{"", 0, 1},
                {"1234567", 7, 1},
                {"12345678", 8, 1},
                {"123456789", 9, 0},
                {"12\0"
                 "4",
                 4, 0}};
    char top[] = "/tmp/ssltop-test-XXXXXX";
    size_t n;
    cr_assert(mkdtemp(top) != NULL);
    struct path path = path_of("%s/x", top);
    cr_expect(text_read(path.s, 8, &n) == NULL && n == 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        FILE *f = fopen(path.s, "w");
        cr_assert(f && fwrite(rows[i].bytes, 1, rows[i].n, f) == rows[i].n && fclose(f) == 0);
        char *text = text_read(path.s, 8, &n);
        cr_expect(!!text == rows[i].is_read, "row %zu", i);
        if (text)
            cr_expect(n == rows[i].n && strcmp(text, rows[i].bytes) == 0, "row %zu: %s", i, text);
        free(text);
    }
    cr_assert(unlink(path.s) == 0 && rmdir(top) == 0);
}
