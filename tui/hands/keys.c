// Bytes to keys, as ECMA-48 and xterm frame them. Sequences are told apart by their framing alone,
// so that one that nobody knows ends where it ends. Only a lone ESC is told by time: there is no
// other way. Should the rest of a sequence come after that, late over a slow line, it is still
// taken for the rest of a sequence.
#include "tui/hands/keys.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double lone = 0.025;      // seconds: longer than terminals take within a sequence
static const double lone_in_paste = 1; // there it ends a paste whose end was lost
static const double late = 1;          // of the rest of a sequence behind ESC

static const double repeats = 0.15; // a key that is held comes again within so many seconds,
static const double begins = 0.75;  // the first time within so many

enum state {
    GROUND,
    ESC,
    LATE,    // ESC was told as a key
    CSI,     // ESC [
    CONSOLE, // ESC [ [ of Linux: one more
    SS3,     // ESC O
    STRING,  // OSC, DCS, APC, PM, SOS: until ST or BEL
    STRING_ESC,
    X10 // ESC [ M: three bytes of a mouse
};

const struct keys_row keys_table[KEYS_ROWS] = {
    {KEYS_UP, "kcuu1", {"[A", "OA"}},
    {KEYS_DOWN, "kcud1", {"[B", "OB"}},
    {KEYS_RIGHT, "kcuf1", {"[C", "OC"}},
    {KEYS_LEFT, "kcub1", {"[D", "OD"}},
    {KEYS_HOME, "khome", {"[H", "OH", "[1~", "[7~"}},
    {KEYS_END, "kend", {"[F", "OF", "[4~", "[8~"}},
    {KEYS_FAR_RIGHT, "kRIT", {"[1;2C"}},
    {KEYS_FAR_LEFT, "kLFT", {"[1;2D"}},
    {KEYS_PAGE_UP, "kpp", {"[5~"}},
    {KEYS_PAGE_DOWN, "knp", {"[6~"}},
    {KEYS_DELETE, "kdch1", {"[3~"}},
    {KEYS_BACK_TAB, "kcbt", {"[Z"}},
    {KEYS_F1, "kf1", {"OP", "[11~", "[[A"}},
    {KEYS_ENTER, "kent", {"OM"}},
    {KEYS_BACKSPACE, "kbs", {NULL}},
};

static uint32_t find(const struct keys *k)
{
    for (int i = 0; i < KEYS_ROWS; i++) {
        const struct keys_row *r = &keys_table[i];
        if (k->own[i] && strcmp(k->own[i], k->text) == 0)
            return r->key;
        for (size_t j = 0; j < KEYS_FORMS && r->usual[j]; j++)
            if (strcmp(k->text + 1, r->usual[j]) == 0)
                return r->key;
    }
    return 0;
}

// A button of the mouse, without the keys that were held with it.
static int mouse(const struct keys *k, int button, int x, int y, struct keys_event *out)
{
    enum { SHIFT_META_CONTROL = 4 | 8 | 16, WHEEL = 64 };
    button &= ~SHIFT_META_CONTROL;
    *out = (struct keys_event){.y = y - 1, .x = x - 1};
    out->key = button == 0           ? KEYS_CLICK
               : button == WHEEL     ? KEYS_WHEEL_UP
               : button == WHEEL + 1 ? KEYS_WHEEL_DOWN
                                     : 0;
    return k->mouse && out->key && x > 0 && y > 0;
}

// The sequence is whole.
static int end_sequence(struct keys *k, struct keys_event *out)
{
    int button, x, y, length = 0;
    k->state = GROUND;
    if (k->n >= sizeof k->text)
        return 0;
    k->text[k->n] = 0;
    if (strcmp(k->text, "\033[200~") == 0 || strcmp(k->text, "\033[201~") == 0) {
        k->pasting = k->text[4] == '0';
        return 0;
    }
    if (k->pasting)
        return 0;
    if (sscanf(k->text, "\033[<%5d;%5d;%5d%*[M]%n", &button, &x, &y, &length) == 3 && length)
        return mouse(k, button, x, y, out);
    *out = (struct keys_event){.key = find(k)};
    return out->key != 0;
}

static void append(struct keys *k, unsigned char byte)
{
    if (k->n < sizeof k->text)
        k->text[k->n++] = (char)byte;
}

static void begin(struct keys *k, enum state state, unsigned char introducer)
{
    k->state = state;
    k->n = 0;
    k->left = 0;
    append(k, KEYS_ESCAPE);
    if (introducer)
        append(k, introducer);
}

// What this byte begins behind ESC, or a C1 character alone; GROUND: nothing.
static enum state introduced(unsigned char byte)
{
    return byte == '[' ? CSI : byte == 'O' ? SS3 : byte && strchr("P]_^X", byte) ? STRING : GROUND;
}

// A character of its own, not within a sequence.
static int character(struct keys *k, uint32_t ch, struct keys_event *out)
{
    int alt = k->alt;
    k->alt = 0;
    if (ch >= 0x80 && ch < 0xA0) { // C1: ESC and the character 64 before
        unsigned char introducer = (unsigned char)(ch - 0x40);
        if (!alt && introduced(introducer))
            begin(k, introduced(introducer), introducer);
        k->eight_bit = 1;
        return 0;
    }
    if (alt || !ch || (k->pasting && (ch < 0x20 || ch == 127)))
        return 0;
    *out = (struct keys_event){.key = ch, .pasted = k->pasting};
    if (k->pasting)
        return 1;
    k->text[0] = (char)(ch < 0x80 ? ch : 0);
    k->text[1] = 0;
    k->n = 1;
    if (ch < 0x20 && ch != KEYS_ENTER && ch != KEYS_TAB && find(k))
        out->key = find(k); // an arrow of terminals before ECMA-48
    else if (ch == 127 || ch == 8)
        out->key = KEYS_BACKSPACE;
    else if (ch == '\n')
        out->key = KEYS_ENTER;
    return 1;
}

static int ground(struct keys *k, unsigned char byte, struct keys_event *out)
{
    if (k->left && (byte & 0xC0) == 0x80) {
        k->ch = k->ch << 6 | (byte & 0x3F);
        if (--k->left)
            return 0;
        int bad = k->ch < k->least || k->ch > 0x10FFFF || (k->ch >= 0xD800 && k->ch < 0xE000);
        return bad ? (k->alt = 0) : character(k, k->ch, out);
    }
    if (k->left) // it breaks off
        k->left = k->alt = 0;
    if (byte == KEYS_ESCAPE) {
        begin(k, ESC, 0);
        return 0;
    }
    if (byte < 0xA0) // of those from 128 on only C1 is anything
        return character(k, byte, out);
    k->left = byte < 0xC2 ? 0 : byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : byte < 0xF8 ? 3 : 0;
    k->alt = k->alt && k->left;
    k->ch = byte & (0x3F >> k->left);
    k->least = k->left == 1 ? 0x80 : k->left == 2 ? 0x800 : 0x10000;
    return 0;
}

// Behind ESC: a sequence, or Alt and a key, or (late) another key.
static int behind_escape(struct keys *k, unsigned char byte, double now, struct keys_event *out)
{
    int is_late = k->state == LATE;
    enum state next = introduced(byte);
    if (byte == KEYS_ESCAPE || (is_late && (!next || now - k->at > late))) {
        k->state = GROUND;
        return ground(k, byte, out);
    }
    begin(k, next, byte);
    k->eight_bit = 0;
    k->alt = !next;
    return next ? 0 : ground(k, byte, out);
}

static int control_sequence(struct keys *k, unsigned char byte, struct keys_event *out)
{
    append(k, byte);
    if (k->state == CSI && k->n == 3 && (byte == '[' || byte == 'M'))
        k->state = byte == '[' ? CONSOLE : X10;
    else if (byte >= 0x80) // of another world
        k->state = GROUND;
    else if (byte >= '@' && byte != 127)
        return end_sequence(k, out);
    else if (k->state == SS3 && (byte < '0' || byte > ';'))
        k->state = GROUND;
    else if (byte < ' ' || byte == 127)
        k->n = sizeof k->text; // nothing that is known has one within it
    return 0;
}

static int x10(struct keys *k, unsigned char byte, struct keys_event *out)
{
    append(k, byte);
    if (k->n < 6)
        return 0;
    k->state = GROUND;
    const unsigned char *m = (const unsigned char *)k->text + 3;
    return !k->pasting && mouse(k, m[0] - 32, m[1] - 32, m[2] - 32, out);
}

// The string that this byte would be in is none: Alt with ] begins one too, and nobody would ever
// end it. Its first byte comes late then, and at some time there is a pause.
static int is_no_string(struct keys *k, double now)
{
    double since = now - k->at;
    if (k->n == 2) { // so far there is what introduced it
        k->typed = since > lone;
        k->n++;
    }
    return k->typed && since > late;
}

int keys_take(struct keys *k, unsigned char byte, double now, struct keys_event *out)
{
    enum { BEL = 7, CAN = 0x18, SUB = 0x1A, ST = 0x9C };
    int rc = 0;
    if (k->state == STRING && is_no_string(k, now))
        k->state = GROUND;
    if (k->state == ESC || k->state == LATE)
        rc = behind_escape(k, byte, now, out);
    else if (k->state == GROUND)
        rc = ground(k, byte, out);
    else if (k->state == STRING_ESC && byte == '\\')
        k->state = GROUND;
    else if (k->state == STRING_ESC)
        rc = behind_escape(k, byte, now, out);
    else if (byte == KEYS_ESCAPE && k->state == STRING)
        k->state = STRING_ESC;
    else if (byte == KEYS_ESCAPE)
        begin(k, ESC, 0);
    else if (k->state == X10)
        rc = x10(k, byte, out);
    else if (byte == CAN || byte == SUB)
        k->state = GROUND;
    else if (k->state != STRING)
        rc = control_sequence(k, byte, out);
    else if (byte == BEL || (byte == ST && k->eight_bit))
        k->state = GROUND;
    k->at = now;
    return rc;
}

int keys_pasted(const struct keys *k, const unsigned char *bytes, size_t n, int goes_on)
{
    enum { LEAST = 10, KINDS = 6 };
    unsigned char seen[256] = {0};
    size_t kinds = 0, lines = 0;
    for (size_t i = 0; i < n; i++) {
        int is_end = bytes[i] == KEYS_ENTER || bytes[i] == '\n';
        if ((bytes[i] < ' ' && !is_end && bytes[i] != KEYS_TAB) || bytes[i] == 127)
            return 0;
        kinds += !seen[bytes[i]];
        seen[bytes[i]] = 1;
        lines += is_end && i + 1 < n;
    }
    int is_line = n > 0 && (bytes[0] == ':' || bytes[0] == '/') && !lines;
    return k->state == GROUND && !k->pasting && n > 0 &&
           (goes_on || (n >= LEAST && kinds >= KINDS && !is_line));
}

double keys_patience(const struct keys *k, double now)
{
    if (k->state != ESC)
        return -1;
    double left = k->at + (k->pasting ? lone_in_paste : lone) - now;
    return left > 0 ? left : 0;
}

int keys_idle(struct keys *k, double now, struct keys_event *out)
{
    if (keys_patience(k, now) != 0)
        return 0;
    int is_key = !k->pasting;
    k->state = LATE;
    k->pasting = 0;
    *out = (struct keys_event){.key = KEYS_ESCAPE};
    return is_key;
}

int keys_hold_take(struct keys_hold *h, uint32_t key, double now)
{
    double since = h->key == key ? now - h->at : INFINITY;
    h->key = key;
    h->at = now;
    h->waits = since > repeats && since <= begins ? key : 0;
    return since > begins;
}

double keys_hold_patience(const struct keys_hold *h, double now)
{
    double left = h->at + repeats - now;
    return !h->waits ? -1 : left > 0 ? left : 0;
}

uint32_t keys_hold_due(struct keys_hold *h, double now)
{
    uint32_t key = keys_hold_patience(h, now) == 0 ? h->waits : 0;
    if (key)
        h->waits = 0;
    return key;
}
