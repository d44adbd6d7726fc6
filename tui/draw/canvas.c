// Cells and text: the only code that knows how wide a character is and what stands for it in ASCII.
#include "tui/draw/canvas.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BRAILLE = 0x2800, SHADE = 0x2591, MAX_SIDE = 4096 };

// What stands for a character where only ASCII can be shown.
static const struct {
    uint32_t ch;
    char ascii;
} glyphs[] = {
    {0x00B7, '|'},                                              // middle dot, between facts
    {0x00D7, 'x'},                                              // times
    {0x00B1, '~'},                                              // plus or minus
    {0x03A3, 'S'},                                              // capital sigma
    {0x03C3, 's'},                                              // sigma
    {0x2013, '-'},                                              // dash: no value
    {0x2026, '.'},                                              // ellipsis
    {0x2081, '1'},                                              // subscript one
    {0x2190, '<'}, {0x2191, '^'}, {0x2192, '>'}, {0x2193, 'v'}, // arrows
    {0x2212, '-'},                                              // minus
    {0x2264, '<'}, {0x2265, '>'},                               // less, greater or equal
    {0x2500, '-'}, {0x2501, '='}, {0x2502, '|'},                // light and heavy lines
    {0x250A, ':'}, {0x2506, ':'},                               // mark lines
    {0x250C, '+'}, {0x2510, '+'}, {0x2514, '+'}, {0x2518, '+'}, // corners
    {0x2524, '|'}, {0x251C, '|'},                               // ends of the schedule bar
    {0x253C, '+'}, {0x253F, '+'}, {0x254B, '#'},                // chunk borders, segment border
    {0x2588, '#'}, {0x2591, '.'}, {0x2592, '='}, {0x2593, '#'}, // blocks
    {0x25B6, '>'}, {0x25CF, 'O'}, {0x25C6, 'o'}, {0x25A0, '#'}, // signs
    {0x2020, '+'},                                              // mark
    {0x275A, '"'},                                              // pause
    {0x2713, '*'}, {0x00A7, '*'}, {0x2605, '*'},                // check mark, section, the best
    {0x2503, '|'}, {0x25B2, '^'}, {0x25BC, 'v'}, {0x25C7, 'x'}, // more signs
    {0x258F, '|'}, {0x2595, '|'},                               // ends of bars
};

// Ranges of two columns and of none (Unicode 15 east asian wide; combining marks and joiners).
static const uint32_t wide[][2] = {
    {0x1100, 0x115F}, {0x2E80, 0x303E},   {0x3041, 0x33FF},   {0x3400, 0x4DBF}, {0x4E00, 0x9FFF},
    {0xA000, 0xA4CF}, {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},   {0xFE30, 0xFE6F}, {0xFF00, 0xFF60},
    {0xFFE0, 0xFFE6}, {0x1F300, 0x1FAFF}, {0x20000, 0x3FFFD},
};
static const uint32_t none[][2] = {
    {0x0300, 0x036F}, {0x200B, 0x200F}, {0x202A, 0x202E}, {0x2060, 0x206F},
    {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}, {0xFEFF, 0xFEFF},
};

static int within(const uint32_t (*range)[2], size_t n, uint32_t ch)
{
    for (size_t i = 0; i < n; i++)
        if (ch >= range[i][0] && ch <= range[i][1])
            return 1;
    return 0;
}

static int columns_of(uint32_t ch)
{
    if (within(none, sizeof none / sizeof *none, ch))
        return 0;
    return within(wide, sizeof wide / sizeof *wide, ch) ? 2 : 1;
}

// The next code point of UTF-8 text; what is no character, or one that steers a terminal, is '?'.
static uint32_t next_char(const char **text)
{
    const unsigned char *s = (const unsigned char *)*text;
    uint32_t ch = s[0];
    int more = ch < 0x80                 ? 0
               : ch >= 0xC2 && ch < 0xE0 ? 1
               : ch >= 0xE0 && ch < 0xF0 ? 2
               : ch >= 0xF0 && ch < 0xF5 ? 3
                                         : -1;
    if (more > 0)
        ch &= 0x3FU >> more;
    for (int i = 1; i <= more; i++) {
        if ((s[i] & 0xC0) != 0x80) {
            *text += i;
            return '?';
        }
        ch = ch << 6 | (s[i] & 0x3F);
    }
    *text += more < 0 ? 1 : more + 1;
    if (more < 0 || ch < 0x20 || (ch >= 0x7F && ch < 0xA0) || (ch >= 0xD800 && ch < 0xE000) ||
        ch > 0x10FFFF || (more == 2 && ch < 0x800) || (more == 3 && ch < 0x10000))
        return '?';
    return ch;
}

int canvas_resize(struct canvas *c, int h, int w, struct error *e)
{
    if (h < 1 || w < 1 || h > MAX_SIDE || w > MAX_SIDE)
        return error_set(e, "a screen of %d x %d cells cannot be drawn", w, h);
    if (h != c->h || w != c->w) {
        struct cell *cell = calloc((size_t)h * (size_t)w, sizeof *cell);
        if (!cell)
            return error_memory(e, "a screen of %d x %d cells", w, h);
        free(c->cell);
        c->cell = cell;
        c->h = h;
        c->w = w;
    }
    canvas_clear(c);
    return 0;
}

void canvas_free(struct canvas *c)
{
    free(c->cell);
    *c = (struct canvas){0};
}

void canvas_clear(struct canvas *c)
{
    for (size_t i = 0; i < (size_t)c->h * (size_t)c->w; i++)
        c->cell[i] = (struct cell){' ', ROLE_TEXT, 0, 0};
}

static struct cell *at(const struct canvas *c, int y, int x)
{
    return y >= 0 && y < c->h && x >= 0 && x < c->w ? &c->cell[(size_t)y * (size_t)c->w + (size_t)x]
                                                    : NULL;
}

const struct cell *canvas_at(const struct canvas *c, int y, int x)
{
    return at(c, y, x);
}

void canvas_put(struct canvas *c, int y, int x, uint32_t ch, enum role role)
{
    struct cell *p = at(c, y, x);
    if (!p)
        return;
    // Whoever overwrites half of a wide character leaves no other half behind.
    if (p->ch == 0 && x > 0)
        p[-1].ch = ' ';
    if (x + 1 < c->w && p[1].ch == 0)
        p[1].ch = ' ';
    *p = (struct cell){ch, (uint8_t)role, 0, 0};
}

void canvas_fill(struct canvas *c, struct rect r, uint32_t ch, enum role role)
{
    for (int y = r.y; y < r.y + r.h; y++)
        for (int x = r.x; x < r.x + r.w; x++)
            canvas_put(c, y, x, ch, role);
}

int text_columns(const char *text)
{
    int n = 0;
    while (*text)
        n += columns_of(next_char(&text));
    return n;
}

int canvas_text(struct canvas *c, int y, int x, int max, enum role role, const char *text)
{
    if (max <= 0)
        return 0;
    int fits = text_columns(text) <= max, used = 0;
    int room = fits ? max : max - 1;
    while (*text) {
        uint32_t ch = next_char(&text);
        int n = columns_of(ch);
        if (n == 0)
            continue;
        if (used + n > room)
            break;
        canvas_put(c, y, x + used, ch, role);
        if (n == 2) {
            if (at(c, y, x + used + 1))
                *at(c, y, x + used + 1) = (struct cell){0, (uint8_t)role, 0, 0};
            else
                canvas_put(c, y, x + used, '?', role);
        }
        used += n;
    }
    if (!fits)
        canvas_put(c, y, x + used++, 0x2026, role);
    return used;
}

int canvas_printf(struct canvas *c, int y, int x, int max, enum role role, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return canvas_text(c, y, x, max, role, text);
}

int canvas_wrap(struct canvas *c, int y, int x, int max, int lines, enum role role,
                const char *text)
{
    int used = 0;
    while (*text && used + 1 < lines && text_columns(text) > max) {
        size_t n = 0, best = 0; // bytes up to the last blank that fits
        for (const char *p = text; *p && n < 1000; n = (size_t)(p - text)) {
            char line[1024];
            next_char(&p);
            memcpy(line, text, (size_t)(p - text));
            line[p - text] = 0;
            if (text_columns(line) > max + (p[-1] == ' '))
                break;
            if (p[-1] == ' ')
                best = (size_t)(p - text);
        }
        if (!n) // not even a character does
            break;
        char line[1024];
        size_t kept = best ? best - 1 : n; // without the blank, or a part of a long word
        memcpy(line, text, kept);
        line[kept] = 0;
        canvas_text(c, y + used++, x, max, role, line);
        text += best ? best : n;
    }
    if (*text && used < lines)
        canvas_text(c, y + used++, x, max, role, text);
    return used;
}

void canvas_dot(struct canvas *c, int dy, int dx, enum role role)
{
    static const uint8_t bit[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    if (dy < 0 || dx < 0)
        return;
    struct cell *p = at(c, dy / 4, dx / 2);
    if (!p)
        return;
    if (p->ch == ' ' || p->ch == 0x250A || p->ch == 0x2506 || p->ch == SHADE)
        p->ch = BRAILLE;
    if (p->ch < BRAILLE || p->ch > BRAILLE + 0xFF)
        return;
    p->ch |= bit[dy % 4][dx % 2];
    p->role = (uint8_t)role;
}

static int mean_level(const struct cell *p)
{
    return (p->upper + p->lower + 1) / 2;
}

void canvas_heat(struct canvas *c, int y, int x, int upper, int lower)
{
    static const uint32_t block[] = {' ', 0x2591, 0x2592, 0x2593, 0x2588};
    canvas_put(c, y, x, ' ', ROLE_HEAT);
    struct cell *p = at(c, y, x);
    if (!p)
        return;
    p->upper = (uint8_t)upper;
    p->lower = (uint8_t)lower;
    p->ch = block[(mean_level(p) * 4 + HEAT_LEVELS - 1) / HEAT_LEVELS];
}

struct rect canvas_frame(struct canvas *c, struct rect r, enum role role)
{
    if (r.h < 2 || r.w < 2)
        return (struct rect){r.y, r.x, 0, 0};
    int bottom = r.y + r.h - 1, right = r.x + r.w - 1;
    for (int x = r.x + 1; x < right; x++) {
        canvas_put(c, r.y, x, 0x2500, role);
        canvas_put(c, bottom, x, 0x2500, role);
    }
    for (int y = r.y + 1; y < bottom; y++) {
        canvas_put(c, y, r.x, 0x2502, role);
        canvas_put(c, y, right, 0x2502, role);
    }
    canvas_put(c, r.y, r.x, 0x250C, role);
    canvas_put(c, r.y, right, 0x2510, role);
    canvas_put(c, bottom, r.x, 0x2514, role);
    canvas_put(c, bottom, right, 0x2518, role);
    return (struct rect){r.y + 1, r.x + 1, r.h - 2, r.w - 2};
}

// Rows of the four that have a dot -> a character that is dark at the same height.
static char ascii_dots(uint32_t mask)
{
    static const char by_rows[17] = " '-'-:-|_::|.|||";
    int rows = ((mask & 0x09) != 0) | ((mask & 0x12) != 0) << 1 | ((mask & 0x24) != 0) << 2 |
               ((mask & 0xC0) != 0) << 3;
    return by_rows[rows];
}

int canvas_box_fits(struct rect r, const char *title, const char *right)
{
    return text_columns(title) + 2 + text_columns(right) + 2 <= r.w - 3;
}

struct rect canvas_box(struct canvas *c, struct rect r, const char *title, const char *right)
{
    struct rect in = canvas_frame(c, r, ROLE_FRAME);
    int n_right = text_columns(right);
    canvas_printf(c, r.y, r.x + 1, r.w - 2, ROLE_TITLE, " %s ", title);
    if (n_right && canvas_box_fits(r, title, right))
        canvas_printf(c, r.y, r.x + r.w - n_right - 3, n_right + 2, ROLE_DIM, " %s ", right);
    return in;
}

struct rect canvas_take_top(struct rect *r, int h)
{
    struct rect top = {r->y, r->x, h < r->h ? h : r->h, r->w};
    r->y += top.h;
    r->h -= top.h;
    return top;
}

struct rect canvas_take_left(struct rect *r, int w)
{
    struct rect left = {r->y, r->x, r->h, w};
    r->x += w;
    r->w -= w;
    return left;
}

void canvas_ascii(struct canvas *c)
{
    for (size_t i = 0; i < (size_t)c->h * (size_t)c->w; i++) {
        static const char ramp[] = " .:-=+*#%@";
        uint32_t *ch = &c->cell[i].ch;
        if (c->cell[i].role == ROLE_HEAT) {
            int level = mean_level(&c->cell[i]);
            *ch = (uint32_t)ramp[(level * 9 + HEAT_LEVELS - 1) / HEAT_LEVELS];
        } else if (*ch > BRAILLE && *ch <= BRAILLE + 0xFF && c->cell[i].role == ROLE_REFERENCE) {
            *ch = '~';
        } else if (*ch >= BRAILLE && *ch <= BRAILLE + 0xFF) {
            *ch = (uint32_t)ascii_dots(*ch - BRAILLE);
        } else if (*ch == 0) {
            *ch = ' ';
        } else if (*ch > 0x7E) {
            uint32_t to = '?';
            for (size_t g = 0; g < sizeof glyphs / sizeof *glyphs; g++)
                if (glyphs[g].ch == *ch)
                    to = (uint32_t)glyphs[g].ascii;
            *ch = to;
        }
    }
}

static size_t put_utf8(char *s, uint32_t ch)
{
    if (ch < 0x80) {
        s[0] = (char)ch;
        return 1;
    }
    int more = ch < 0x800 ? 1 : ch < 0x10000 ? 2 : 3;
    static const unsigned char lead[] = {0, 0xC0, 0xE0, 0xF0};
    s[0] = (char)(lead[more] | ch >> (6 * more));
    for (int i = 1; i <= more; i++)
        s[i] = (char)(0x80 | (ch >> (6 * (more - i)) & 0x3F));
    return (size_t)more + 1;
}

char *canvas_to_text(const struct canvas *c)
{
    char *text = malloc((size_t)c->h * ((size_t)c->w * 4 + 1) + 1);
    if (!text)
        return NULL;
    size_t n = 0;
    for (int y = 0; y < c->h; y++) {
        size_t end = n;
        for (int x = 0; x < c->w; x++) {
            uint32_t ch = at(c, y, x)->ch;
            if (ch)
                n += put_utf8(text + n, ch);
            if (ch != ' ' && ch)
                end = n;
        }
        n = end;
        text[n++] = '\n';
    }
    text[n] = 0;
    return text;
}
