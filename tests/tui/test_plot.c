// Axes with round numbers and curves that lose nothing.
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tui/draw/plot.h"
#include "tui/model/window.h"

enum { H = 6, W = 20, COLUMNS = 2 * W };

static struct canvas new_canvas(int h, int w)
{
    struct canvas c = {0};
    cr_assert_eq(canvas_resize(&c, h, w, NULL), 0);
    return c;
}

static int dot_at(const struct canvas *c, int y, int x)
{
    static const uint32_t bits[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    uint32_t ch = canvas_at(c, y / 4, x / 2)->ch;
    return ch >= 0x2800 && ch <= 0x28FF && (ch - 0x2800) & bits[y % 4][x % 2];
}

// Any range lies within its axis; ends and step are 1, 2 or 5 times a power of ten; few labels.
Test(plot, linear_axes_are_round)
{
    uint32_t x = 3;
    for (int i = 0; i < 5000; i++) {
        x = x * 1664525 + 1013904223;
        double lo = ((double)(x >> 8) / (1 << 24) - 0.5) * pow(10, (int)(x % 9) - 4);
        double hi = lo + (double)(x >> 16) / 65536 * pow(10, (int)(x / 16 % 9) - 4);
        struct axis a = axis_linear(lo, hi, 1e-9, -INFINITY, INFINITY, 5);
        cr_assert(a.lo <= lo + 1e-9 * fabs(lo) && a.hi >= hi - 1e-9 * fabs(hi), "%g..%g in %g..%g",
                  lo, hi, a.lo, a.hi);
        double mantissa = a.step / pow(10, floor(log10(a.step) + 1e-9));
        cr_assert(fabs(mantissa - 1) < 1e-6 || fabs(mantissa - 2) < 1e-6 ||
                      fabs(mantissa - 5) < 1e-6,
                  "%g", a.step);
        cr_assert_float_eq(a.lo / a.step, round(a.lo / a.step), 1e-5);
        double labels = (a.hi - a.lo) / a.step;
        cr_assert(labels > 0.99 && labels < 7.01, "%g labels", labels);
    }
}

Test(plot, linear_axes_keep_their_bounds)
{
    struct axis a = axis_linear(0.97, 0.98, 0.1, 0.5, 1, 4);
    cr_assert_eq(a.hi, 1);
    cr_assert(a.lo >= 0.5 && a.lo <= 0.9 + 1e-9);
    a = axis_linear(NAN, NAN, 0.1, 0.5, 1, 4);
    cr_assert(a.lo >= 0.5 && a.hi > a.lo && a.hi <= 1);
    a = axis_linear(NAN, NAN, 1, -INFINITY, INFINITY, 4);
    cr_assert(isfinite(a.lo) && a.hi > a.lo);
    a = axis_linear(0, 0, 0.2, 0, INFINITY, 4);
    cr_assert(a.lo == 0 && a.hi >= 0.2 - 1e-9);
}

Test(plot, decades)
{
    struct axis a = axis_decades(3e-5, 1, 5);
    cr_assert_float_eq(a.lo, 1e-5, 1e-12);
    cr_assert_float_eq(a.hi, 1, 1e-12);
    cr_assert_float_eq(axis_place(&a, 1e-5), 0, 1e-9);
    cr_assert_float_eq(axis_place(&a, 1), 1, 1e-9);
    cr_assert_float_eq(axis_place(&a, sqrt(1e-5)), 0.5, 1e-9);
    cr_assert_eq(axis_place(&a, 0), 0, "what a logarithm cannot show lies at the bottom");
    cr_assert_eq(axis_place(&a, 50), 1);
    cr_assert(isnan(axis_place(&a, NAN)));
    a = axis_decades(1, 1, 4);
    cr_assert(a.lo < a.hi);
}

static void set_gap(struct span *col)
{
    for (int i = 0; i < COLUMNS; i++)
        col[i] = (struct span){NAN, NAN, NAN};
}

// Minimum and maximum of a column are drawn, and everything between; a gap stays empty.
Test(plot, a_column_shows_its_whole_range)
{
    struct canvas c = new_canvas(H, W);
    struct axis a = {0, 1, 0.5, 0};
    struct span col[COLUMNS];
    set_gap(col);
    for (int x = 0; x < 10; x++)
        col[x] = (struct span){0.5f, 0.5f, 0.5f};
    col[4] = (struct span){0, 1, 0.5f};
    col[20] = (struct span){0.25f, 0.25f, 0.25f};
    plot_curve(&c, (struct rect){0, 0, H, W}, &a, col, LINE_SOLID, ROLE_LIVE);
    for (int y = 0; y < 4 * H; y++)
        cr_assert(dot_at(&c, y, 4));
    for (int x = 10; x < COLUMNS; x++)
        for (int y = 0; y < 4 * H; y++)
            cr_assert_eq(dot_at(&c, y, x) != 0, x == 20 && y == 17, "%d, %d", y, x);
    canvas_free(&c);
}

// Neighbours are joined: no hole in a steep curve.
Test(plot, a_solid_curve_has_no_holes)
{
    struct canvas c = new_canvas(H, W);
    struct axis a = {0, 1, 0.5, 0};
    struct span col[COLUMNS];
    for (int x = 0; x < COLUMNS; x++) {
        float v = x % 2 ? 1 : 0;
        col[x] = (struct span){v, v, v};
    }
    plot_curve(&c, (struct rect){0, 0, H, W}, &a, col, LINE_SOLID, ROLE_LIVE);
    for (int y = 0; y < 4 * H; y++) {
        int any = 0;
        for (int x = 0; x < COLUMNS; x++)
            any |= dot_at(&c, y, x);
        cr_assert(any);
    }
    canvas_free(&c);
}

// Whatever column a spike is in, a dashed curve shows it too; and it has gaps of a cell.
Test(plot, a_dashed_curve_keeps_spikes)
{
    struct axis a = {0, 1, 0.5, 0};
    for (int spike = 0; spike < COLUMNS; spike++) {
        struct canvas c = new_canvas(H, W);
        struct span col[COLUMNS];
        for (int x = 0; x < COLUMNS; x++)
            col[x] = (struct span){0, x == spike ? 1 : 0, 0};
        plot_curve(&c, (struct rect){0, 0, H, W}, &a, col, LINE_DASHED, ROLE_START);
        int top = 0;
        for (int x = 0; x < COLUMNS; x++) {
            top += dot_at(&c, 0, x) != 0;
            cr_assert_eq(dot_at(&c, 4 * H - 1, x) != 0, x % 4 < 2);
        }
        cr_assert_eq(top, 1, "spike in column %d", spike);
        canvas_free(&c);
    }
}

// The time axis: all steps fit, a column is a power of two of steps, and it doubles as late as
// possible.
Test(plot, time_axis_grows_in_powers_of_two)
{
    for (int columns = 1; columns < 300; columns += 13) {
        int64_t before = 1;
        for (int64_t last = 0; last < 20000; last += 1 + last / 50) {
            int64_t per = window_steps_per_column(last, columns);
            cr_assert_eq(per & (per - 1), 0);
            cr_assert(last / per < columns);
            cr_assert(per == 1 || last / (per / 2) >= columns);
            cr_assert(per >= before);
            before = per;
        }
    }
    cr_assert_eq(window_steps_per_column((int64_t)1 << 60, 100) & 1, 0);
}

Test(plot, labels_do_not_share_a_row)
{
    struct canvas c = new_canvas(H, W);
    struct axis a = {0, 1, 0.01, 0};
    plot_labels(&c, (struct rect){0, 6, H, W - 6}, &a, 5, 5, 1, ROLE_DIM);
    char *text = canvas_to_text(&c);
    cr_assert_not_null(text);
    cr_assert_eq(strncmp(text, " 1.00\n", 6), 0, "%s", text);
    free(text);
    canvas_free(&c);
}

// What has no room for all its zeros is told shorter, and never stands outside its columns.
Test(plot, labels_of_any_size_fit)
{
    static const struct {
        double lo, hi;
        const char *shown[2];
    } row[] = {
        {0, 400000, {"  4e5\n", "    0\n"}},     {0, 1.2e6, {" 12e5\n", "    0\n"}},
        {0, 0.0015, {"15e-4\n", "    0\n"}},     {-3e7, 0, {"    0\n", " \u22123e7\n"}},
        {-0.87, 0, {"  0.0\n", " \u22121.0\n"}}, {9900, 10000, {"10000\n", " 9900\n"}},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct canvas c = new_canvas(12, 6);
        struct axis a = axis_linear(row[i].lo, row[i].hi, 1e-9, -INFINITY, INFINITY, 6);
        plot_labels(&c, (struct rect){0, 6, 12, 0}, &a, 5, 5, 1, ROLE_DIM);
        char *text = canvas_to_text(&c);
        for (int k = 0; k < 2; k++)
            cr_expect(strstr(text, row[i].shown[k]), "%g..%g: %s", row[i].lo, row[i].hi, text);
        free(text);
        canvas_free(&c);
    }
    uint32_t x = 3;
    for (int i = 0; i < 2000; i++) {
        x = x * 1664525 + 1013904223;
        double lo = ((double)(x >> 8) / (1 << 24) - 0.5) * pow(10, (int)(x % 25) - 12);
        double hi = lo + (double)(x >> 16) / 65536 * pow(10, (int)(x / 16 % 25) - 12);
        struct canvas c = new_canvas(12, 30);
        struct axis a = axis_linear(lo, hi, 1e-12, -INFINITY, INFINITY, 6);
        plot_labels(&c, (struct rect){0, 20, 12, 0}, &a, 15, 5, 1, ROLE_DIM);
        for (int y = 0; y < 12; y++)
            for (int at = 0; at < 30; at++)
                cr_assert(canvas_at(&c, y, at)->ch == ' ' || (at >= 10 && at < 15), "%g..%g", lo,
                          hi);
        canvas_free(&c);
    }
}

Test(plot, step_labels_are_round_and_apart)
{
    struct canvas c = new_canvas(3, 60);
    plot_step_labels(&c, (struct rect){0, 2, 2, 56}, 0, 16, ROLE_DIM);
    char *text = canvas_to_text(&c);
    cr_assert_not_null(text);
    cr_assert_str_eq(text, "\n\n  0              500             1 000          1 500\n");
    free(text);
    canvas_free(&c);
}
