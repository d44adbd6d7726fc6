// Cells: text of any kind, clipping, dots, the ASCII stand-ins; and numbers as text.
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tui/draw/canvas.h"
#include "tui/model/format.h"

static struct canvas new_canvas(int h, int w)
{
    struct canvas c = {0};
    cr_assert_eq(canvas_resize(&c, h, w, NULL), 0);
    return c;
}

static void expect_line(const struct canvas *c, const char *should)
{
    char *text = canvas_to_text(c);
    cr_assert_not_null(text);
    text[strcspn(text, "\n")] = 0;
    cr_assert_str_eq(text, should);
    free(text);
}

Test(canvas, text_is_cut_with_an_ellipsis)
{
    struct canvas c = new_canvas(1, 20);
    cr_assert_eq(canvas_text(&c, 0, 0, 8, ROLE_TEXT, "abcdefgh"), 8);
    expect_line(&c, "abcdefgh");
    canvas_clear(&c);
    cr_assert_eq(canvas_text(&c, 0, 0, 8, ROLE_TEXT, "abcdefghi"), 8);
    expect_line(&c, "abcdefg\u2026");
    canvas_clear(&c);
    cr_assert_eq(canvas_text(&c, 0, 0, 4, ROLE_TEXT, "a\u732b\u732b"), 4,
                 "a wide character is not cut in half");
    expect_line(&c, "a\u732b\u2026");
    cr_assert_eq(canvas_text(&c, 0, 0, 0, ROLE_TEXT, "x"), 0);
    cr_assert_eq(canvas_text(&c, 0, 0, -3, ROLE_TEXT, "x"), 0);
    canvas_free(&c);
}

Test(canvas, broken_text_becomes_question_marks)
{
    static const struct {
        const char *text, *shown;
    } rows[] = {
        {"a\x1b[2Jb", "a?[2Jb"}, {"\xff\xfe", "??"},        {"\xc3(", "?("},
        {"\xe7\x8c", "?"},       {"\xc0\x80", "??"},        {"\xed\xa0\x80", "?"},
        {"\xc2\x9b", "?"},       {"\xf0\x80\x80\x80", "?"}, {"e\u0301", "e"},
        {"\x7f\t", "??"},
    };
    struct canvas c = new_canvas(1, 20);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        canvas_clear(&c);
        canvas_text(&c, 0, 0, 20, ROLE_TEXT, rows[i].text);
        expect_line(&c, rows[i].shown);
    }
    canvas_free(&c);
}

Test(canvas, outside_is_clipped)
{
    struct canvas c = new_canvas(3, 4);
    for (int y = -3; y < 6; y++)
        for (int x = -6; x < 8; x++) {
            canvas_text(&c, y, x, 9, ROLE_TEXT, "\u732babc\u732b");
            canvas_frame(&c, (struct rect){y, x, 3, 5}, ROLE_FRAME);
            canvas_dot(&c, 4 * y, 2 * x, ROLE_LIVE);
        }
    cr_assert_null(canvas_at(&c, 3, 0));
    cr_assert_null(canvas_at(&c, 0, -1));
    cr_assert_lt(canvas_resize(&c, 0, 5, NULL), 0);
    cr_assert_lt(canvas_resize(&c, 5, 1 << 20, NULL), 0);
    canvas_free(&c);
}

Test(canvas, overwriting_half_a_wide_character_leaves_no_half)
{
    struct canvas c = new_canvas(1, 4);
    canvas_text(&c, 0, 0, 4, ROLE_TEXT, "\u732b\u732b");
    canvas_put(&c, 0, 1, 'x', ROLE_TEXT);
    expect_line(&c, " x\u732b");
    canvas_put(&c, 0, 2, 'y', ROLE_TEXT);
    expect_line(&c, " xy");
    canvas_free(&c);
}

// Every dot of a cell is the bit that Unicode gives it.
Test(canvas, dots_are_braille)
{
    static const uint32_t bits[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    struct canvas c = new_canvas(2, 2);
    for (int y = 0; y < 4; y++)
        for (int x = 0; x < 2; x++) {
            canvas_clear(&c);
            canvas_dot(&c, 4 + y, 2 + x, ROLE_LIVE);
            cr_assert_eq(canvas_at(&c, 1, 1)->ch, 0x2800 + bits[y][x]);
        }
    canvas_put(&c, 0, 0, 'M', ROLE_MARK);
    canvas_dot(&c, 0, 0, ROLE_LIVE);
    cr_assert_eq(canvas_at(&c, 0, 0)->ch, 'M', "a letter stays");
    canvas_put(&c, 0, 0, 0x250A, ROLE_MARK);
    canvas_dot(&c, 0, 0, ROLE_LIVE);
    cr_assert_eq(canvas_at(&c, 0, 0)->ch, 0x2801, "a mark line gives way to a curve");
    canvas_free(&c);
}

Test(canvas, ascii_leaves_nothing_else)
{
    struct canvas c = new_canvas(1, 256);
    for (int i = 0; i < 256; i++)
        canvas_put(&c, 0, i, 0x2800 + (uint32_t)i, ROLE_LIVE);
    canvas_ascii(&c);
    for (int i = 0; i < 256; i++) {
        uint32_t ch = canvas_at(&c, 0, i)->ch;
        cr_assert(ch >= 0x20 && ch < 0x7F);
        cr_assert_eq(ch == ' ', i == 0, "only the empty cell is blank");
    }
    canvas_text(&c, 0, 0, 20, ROLE_TEXT, "\u03c3/\u03c3\u2081 \u2502\u732b\u2026");
    canvas_ascii(&c);
    char *text = canvas_to_text(&c);
    cr_assert_not_null(text);
    cr_assert_eq(strncmp(text, "s/s1 |? .", 9), 0, "%s", text);
    free(text);
    canvas_free(&c);
}

Test(format, numbers)
{
    cr_assert_str_eq(format_count(0).s, "0");
    cr_assert_str_eq(format_count(999).s, "999");
    cr_assert_str_eq(format_count(1284).s, "1 284");
    cr_assert_str_eq(format_count(INT64_MAX).s, "9 223 372 036 854 775 807");
    cr_assert_str_eq(format_count(-1).s, "\u2013");
    cr_assert_str_eq(format_duration(1084).s, "18:04");
    cr_assert_str_eq(format_duration(3661).s, "1:01:01");
    cr_assert_str_eq(format_duration(187200).s, "2 d 04 h");
    cr_assert_str_eq(format_duration(NAN).s, "\u2013");
    cr_assert_str_eq(format_duration(1e300).s, "\u2013");
    cr_assert_str_eq(format_bytes(0.9e9).s, "0.9 GB");
    cr_assert_str_eq(format_bytes(53e6).s, "53 MB");
    cr_assert_str_eq(format_rate(1312.4).s, "1 312");
    cr_assert_str_eq(format_rate(4.24).s, "4.2");
    cr_assert_str_eq(format_rate(0.034).s, "0.03");
    cr_assert_str_eq(format_fixed(-0.8712, 3).s, "\u22120.871");
    cr_assert_str_eq(format_fixed(NAN, 3).s, "\u2013");
    cr_assert_str_eq(format_value(0.00031, 3).s, "3.1e-4");
    cr_assert_str_eq(format_value(61.24, 3).s, "61.2");
    cr_assert_str_eq(format_value(128, 3).s, "128");
    cr_assert_str_eq(format_value(1e7, 3).s, "1.0e7");
    cr_assert_str_eq(format_value(-INFINITY, 3).s, "\u2212inf");
    cr_assert_str_eq(format_value(0, 3).s, "0.00");
}

Test(canvas, text_wraps_at_blanks)
{
    static const struct {
        const char *text, *shown;
        int lines;
    } rows[] = {
        {"one two three", "one two\nthree\n\n", 2},
        {"one two", "one two\n\n\n", 1},
        {"one two three four five six", "one two\nthree\nfour f\u2026\n", 3},
        {"abcdefghijk lm", "abcdefg\nhijk lm\n\n", 2},
        {"abcdefghijklmnopqrstuvw", "abcdefg\nhijklmn\nopqrst\u2026\n", 3},
        {"\u732b\u732b \u732b \u732b", "\u732b\u732b \u732b\n\u732b\n\n", 2},
        {"", "\n\n\n", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct canvas c = new_canvas(3, 20);
        cr_assert_eq(canvas_wrap(&c, 0, 0, 7, 3, ROLE_TEXT, rows[i].text), rows[i].lines);
        char *text = canvas_to_text(&c);
        cr_assert_not_null(text);
        cr_assert_str_eq(text, rows[i].shown);
        free(text);
        canvas_free(&c);
    }
}
