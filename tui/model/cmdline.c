// Editing one line of UTF-8: the cursor stands between characters, never within one.
#include "tui/model/cmdline.h"

#include <string.h>

static size_t back(const struct cmdline *l, size_t at)
{
    while (at > 0 && ((unsigned char)l->text[--at] & 0xC0) == 0x80)
        continue;
    return at;
}

static size_t on(const struct cmdline *l, size_t at)
{
    if (at < l->len)
        at++;
    while (at < l->len && ((unsigned char)l->text[at] & 0xC0) == 0x80)
        at++;
    return at;
}

static void set_line(struct cmdline *l, const char *text)
{
    l->len = strnlen(text, LINE_SIZE - 1);
    memmove(l->text, text, l->len);
    l->text[l->len] = 0;
    l->at = l->len;
}

void cmdline_open(struct cmdline *l)
{
    set_line(l, "");
    l->kept_at = 0;
}

void cmdline_insert(struct cmdline *l, uint32_t ch)
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
    if (l->len + n >= LINE_SIZE)
        return;
    memmove(l->text + l->at + n, l->text + l->at, l->len - l->at + 1);
    memcpy(l->text + l->at, s, n);
    l->len += n;
    l->at += n;
}

static void delete (struct cmdline *l, size_t from, size_t to)
{
    memmove(l->text + from, l->text + to, l->len - to + 1);
    l->len -= to - from;
    l->at = from;
}

static void recall(struct cmdline *l, int by)
{
    int at = l->kept_at + by;
    if (at < 0 || at > l->n_kept)
        return;
    l->kept_at = at;
    set_line(l, at ? l->kept[at - 1] : "");
}

int cmdline_edit(struct cmdline *l, enum edit what)
{
    switch (what) {
    case EDIT_LEFT:
        l->at = back(l, l->at);
        break;
    case EDIT_RIGHT:
        l->at = on(l, l->at);
        break;
    case EDIT_HOME:
        l->at = 0;
        break;
    case EDIT_END:
        l->at = l->len;
        break;
    case EDIT_BACKSPACE:
        if (!l->len)
            return 0;
        delete (l, back(l, l->at), l->at);
        break;
    case EDIT_DELETE:
        delete (l, l->at, on(l, l->at));
        break;
    case EDIT_CLEAR:
        set_line(l, "");
        break;
    case EDIT_OLDER:
        recall(l, 1);
        break;
    case EDIT_NEWER:
        recall(l, -1);
        break;
    }
    return 1;
}

void cmdline_take(struct cmdline *l, char *line)
{
    size_t from = strspn(l->text, " "), to = l->len;
    while (to > from && l->text[to - 1] == ' ')
        to--;
    memcpy(line, l->text + from, to - from);
    line[to - from] = 0;
    cmdline_open(l);
    if (!line[0] || (l->n_kept && strcmp(l->kept[0], line) == 0))
        return;
    memmove(l->kept[1], l->kept[0], sizeof l->kept - sizeof l->kept[0]);
    memcpy(l->kept[0], line, to - from + 1);
    if (l->n_kept < LINES_KEPT)
        l->n_kept++;
}
