// Editing one line of UTF-8: the cursor stands between characters, never within one.
#include "tui/hands/cmdline.h"

#include <string.h>

static size_t back(const struct view_state *v, size_t at)
{
    while (at > 0 && ((unsigned char)v->line[--at] & 0xC0) == 0x80)
        continue;
    return at;
}

static size_t on(const struct view_state *v, size_t at)
{
    if (at < v->line_len)
        at++;
    while (at < v->line_len && ((unsigned char)v->line[at] & 0xC0) == 0x80)
        at++;
    return at;
}

static void set_line(struct view_state *v, const char *text)
{
    v->line_len = strnlen(text, LINE_SIZE - 1);
    memmove(v->line, text, v->line_len);
    v->line[v->line_len] = 0;
    v->line_at = v->line_len;
}

void cmdline_open(struct view_state *v)
{
    set_line(v, "");
    v->kept_at = 0;
}

void cmdline_insert(struct view_state *v, uint32_t ch)
{
    if (ch < 0x20 || (ch >= 0x7F && ch < 0xA0) || (ch >= 0xD800 && ch < 0xE000) || ch > 0x10FFFF)
        return;
    char s[4];
    size_t n = ch < 0x80 ? 1 : ch < 0x800 ? 2 : ch < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    if (n == 1)
        s[0] = (char)ch;
    else
        for (size_t i = 0; i < n; i++)
            s[i] = (char)((i ? 0x80 : lead[n]) | (ch >> 6 * (n - 1 - i) & (i ? 0x3F : 0xFF)));
    if (v->line_len + n >= LINE_SIZE)
        return;
    memmove(v->line + v->line_at + n, v->line + v->line_at, v->line_len - v->line_at + 1);
    memcpy(v->line + v->line_at, s, n);
    v->line_len += n;
    v->line_at += n;
}

static void delete (struct view_state *v, size_t from, size_t to)
{
    memmove(v->line + from, v->line + to, v->line_len - to + 1);
    v->line_len -= to - from;
    v->line_at = from;
}

static void recall(struct view_state *v, int by)
{
    int at = v->kept_at + by;
    if (at < 0 || at > v->n_kept)
        return;
    v->kept_at = at;
    set_line(v, at ? v->kept[at - 1] : "");
}

int cmdline_edit(struct view_state *v, enum edit what)
{
    switch (what) {
    case EDIT_LEFT:
        v->line_at = back(v, v->line_at);
        break;
    case EDIT_RIGHT:
        v->line_at = on(v, v->line_at);
        break;
    case EDIT_HOME:
        v->line_at = 0;
        break;
    case EDIT_END:
        v->line_at = v->line_len;
        break;
    case EDIT_BACKSPACE:
        if (!v->line_len)
            return 0;
        delete (v, back(v, v->line_at), v->line_at);
        break;
    case EDIT_DELETE:
        delete (v, v->line_at, on(v, v->line_at));
        break;
    case EDIT_CLEAR:
        set_line(v, "");
        break;
    case EDIT_OLDER:
        recall(v, 1);
        break;
    case EDIT_NEWER:
        recall(v, -1);
        break;
    }
    return 1;
}

void cmdline_take(struct view_state *v, char *line)
{
    size_t from = strspn(v->line, " "), to = v->line_len;
    while (to > from && v->line[to - 1] == ' ')
        to--;
    memcpy(line, v->line + from, to - from);
    line[to - from] = 0;
    cmdline_open(v);
    if (!line[0] || (v->n_kept && strcmp(v->kept[0], line) == 0))
        return;
    memmove(v->kept[1], v->kept[0], sizeof v->kept - sizeof v->kept[0]);
    memcpy(v->kept[0], line, to - from + 1);
    if (v->n_kept < LINES_KEPT)
        v->n_kept++;
}
