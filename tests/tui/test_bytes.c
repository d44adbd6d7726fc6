// What a terminal sends, byte by byte: only documented keys come out of it.
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kit/desk.h"

enum { EVENTS = 4096 };

struct typed {
    struct keys k;
    double now;
    int n;
    struct keys_event event[EVENTS];
};

static struct typed *begin(void)
{
    struct typed *t = calloc(1, sizeof *t);
    cr_assert_not_null(t);
    t->k.mouse = 1;
    return t;
}

// `pause` seconds before each byte, in which the loop looks whether a key became certain.
static void type(struct typed *t, const void *bytes, size_t n, double pause)
{
    for (size_t i = 0; i < n; i++) {
        t->now += pause;
        cr_assert_lt(t->n, EVENTS - 1);
        t->n += keys_idle(&t->k, t->now, &t->event[t->n]);
        t->n += keys_take(&t->k, ((const unsigned char *)bytes)[i], t->now, &t->event[t->n]);
    }
}

static void expect(const struct typed *t, const uint32_t *keys, int n, const char *what)
{
    cr_assert_eq(t->n, n, "%s: %d events, the first %x", what, t->n, t->event[0].key);
    for (int i = 0; i < n; i++)
        cr_assert_eq(t->event[i].key, keys[i], "%s: event %d is %x", what, i, t->event[i].key);
}

static const struct {
    const char *bytes;
    uint32_t key;
} known[] = {
    {"\033[A", KEYS_UP},
    {"\033OA", KEYS_UP},
    {"\033[B", KEYS_DOWN},
    {"\033OD", KEYS_LEFT},
    {"\033OC", KEYS_RIGHT},
    {"\033[1;2D", KEYS_FAR_LEFT},
    {"\033[1;2C", KEYS_FAR_RIGHT},
    {"\033[5~", KEYS_PAGE_UP},
    {"\033[6~", KEYS_PAGE_DOWN},
    {"\033OH", KEYS_HOME},
    {"\033[H", KEYS_HOME},
    {"\033[1~", KEYS_HOME},
    {"\033[4~", KEYS_END},
    {"\033[F", KEYS_END},
    {"\033[3~", KEYS_DELETE},
    {"\033[Z", KEYS_BACK_TAB},
    {"\033OP", KEYS_F1},
    {"\033[11~", KEYS_F1},
    {"\033[[A", KEYS_F1},
    {"\033OM", KEYS_ENTER},
    {"\r", KEYS_ENTER},
    {"\n", KEYS_ENTER},
    {"\t", KEYS_TAB},
    {"\177", KEYS_BACKSPACE},
    {"\b", KEYS_BACKSPACE},
    {"\003", KEY_CTRL('C')},
    {"e", 'e'},
    {" ", ' '},
    {"\303\251", 0xE9},
    {"\347\214\253", 0x732B},
    {"\360\237\220\215", 0x1F40D},
    {"\302\2335~", KEYS_PAGE_UP}, // C1 in UTF-8
    {"\2335~", KEYS_PAGE_UP},
    {"\033[<0;9;9M", KEYS_CLICK},
    {"\033[<64;5;9M", KEYS_WHEEL_UP},
    {"\033[<65;5;9M", KEYS_WHEEL_DOWN},
    {"\033[<16;9;9M", KEYS_CLICK},
    {"\033[M !!", KEYS_CLICK},
    {"\033[M`!!", KEYS_WHEEL_UP},
};
enum { KNOWN = sizeof known / sizeof *known };

// Replies, reports, keys with Alt and other modifiers, and what nobody knows.
static const char *const unknown[] = {
    "\033[>41;380;0c",
    "\033[?62;22c",
    "\033[12;34R",
    "\033[0n",
    "\033[?2026;2$y",
    "\033[8;24;80t",
    "\033[I",
    "\033[O",
    "\033[<0;9;9m",
    "\033[<35;9;9M",
    "\033[<2;9;9M",
    "\033[M#!!",
    "\033[M\"!!",
    "\033[32;10;10M",
    "\033[99;5u",
    "\033[27;5;99~",
    "\033[1;5C",
    "\033[15~",
    "\033[[E",
    "\033Oc",
    "\033O5c",
    "\033P1+r544e=787465726d\033\\",
    "\033P>|xterm(370)\033\\",
    "\033]11;rgb:1c1c/eeee/cccc\033\\",
    "\033]11;rgb:1c1c/eeee/cccc\a",
    "\033]lnice cemne\033\\",
    "\033_Gi=31;OK\033\\",
    "\033^secret n\033\\",
    "\033Xn e c\033\\",
    "\033c",
    "\033 ",
    "\033e",
    "\033\303\251",
    "\033\303\233",
    "\033\r",
    "\302\220n e c\302\234",
    "\220n e c\234",
    "\302\235nce\a",
    "\2339;9R",
    "\033[12\033[34R",
    "\033]11;c\033[0n",
    "\033[1;2;3;4;5;6;7;8;9;10;11;12;13c",
    "\033[12\030",
    "\033P1\032",
};
enum { UNKNOWN = sizeof unknown / sizeof *unknown };

Test(keys, bytes_of_every_known_key)
{
    for (size_t i = 0; i < KNOWN; i++)
        for (int slow = 0; slow < 2; slow++) {
            struct typed *t = begin();
            type(t, known[i].bytes, strlen(known[i].bytes), slow * 0.02);
            type(t, "z", 1, 0);
            expect(t, (uint32_t[]){known[i].key, 'z'}, 2, known[i].bytes + 1);
            free(t);
        }
}

Test(keys, a_place_of_the_mouse)
{
    struct typed *t = begin();
    type(t, "\033[<0;10;7M\033[M !&", 16, 0);
    expect(t, (uint32_t[]){KEYS_CLICK, KEYS_CLICK}, 2, "mouse");
    cr_assert(t->event[0].y == 6 && t->event[0].x == 9);
    cr_assert(t->event[1].y == 5 && t->event[1].x == 0);
    t->k.mouse = t->n = 0;
    type(t, "\033[<0;10;7M\033[M !&", 16, 0);
    cr_assert_eq(t->n, 0, "nobody asked for it");
    free(t);
}

Test(keys, unknown_sequences_are_passed_over_whole)
{
    for (size_t i = 0; i < UNKNOWN; i++)
        for (int slow = 0; slow < 2; slow++) {
            struct typed *t = begin();
            type(t, unknown[i], strlen(unknown[i]), slow * 0.02);
            type(t, "z", 1, slow * 0.02);
            expect(t, (uint32_t[]){'z'}, 1, unknown[i] + 1);
            free(t);
        }
}

// However slowly: at most the key Escape comes of it, which steers nothing. (Behind a lone ESC a
// key without an introducer is a key.)
Test(keys, slow_sequences_are_no_keys)
{
    for (size_t i = 0; i < UNKNOWN; i++) {
        if (unknown[i][0] != 033 || !strchr("[O]P_^X", unknown[i][1]))
            continue;
        struct typed *t = begin();
        type(t, unknown[i], strlen(unknown[i]), 0.7);
        for (int j = 0; j < t->n; j++)
            cr_assert_eq(t->event[j].key, KEYS_ESCAPE, "%s", unknown[i] + 1);
        t->n = 0;
        type(t, "z", 1, 3);
        expect(t, (uint32_t[]){'z'}, 1, unknown[i] + 1);
        free(t);
    }
}

Test(keys, escape_by_itself)
{
    struct typed *t = begin();
    type(t, "\033", 1, 0);
    cr_assert_eq(t->n, 0);
    double patience = keys_patience(&t->k, t->now);
    cr_assert(patience > 0 && patience < 0.05);
    t->n += keys_idle(&t->k, t->now + patience / 2, &t->event[t->n]);
    cr_assert_eq(t->n, 0);
    t->now += patience;
    t->n += keys_idle(&t->k, t->now, &t->event[t->n]);
    expect(t, (uint32_t[]){KEYS_ESCAPE}, 1, "Escape");
    cr_assert_lt(keys_patience(&t->k, t->now), 0);
    type(t, "e", 1, 0.2);
    type(t, "[", 1, 0.2);
    expect(t, (uint32_t[]){KEYS_ESCAPE, 'e', '['}, 3, "keys behind it");
    type(t, "\033\033", 2, 0.2);
    type(t, "[", 1, 5);
    expect(t, (uint32_t[]){KEYS_ESCAPE, 'e', '[', KEYS_ESCAPE, KEYS_ESCAPE, '['}, 6, "Esc Esc");
    free(t);
}

Test(keys, escape_ends_a_string_without_an_end)
{
    struct typed *t = begin();
    type(t, "\033Pn e c", 7, 0);
    type(t, "\033", 1, 0);
    type(t, "ce", 2, 5); // c may be the rest of its end
    expect(t, (uint32_t[]){'e'}, 1, "a string that was cut off");
    free(t);
}

// Alt with ], P, X, ^ or _ is no string, though it begins like one: keys work again after a pause.
Test(keys, alt_and_an_introducer_does_not_end_the_keys)
{
    for (const char *c = "P]_^X"; *c; c++) {
        struct typed *t = begin();
        type(t, (const char[]){033, *c}, 2, 0);
        type(t, "c", 1, 3);
        expect(t, (uint32_t[]){'c'}, 1, "after a pause");
        type(t, (const char[]){033, *c}, 2, 0.001);
        type(t, "ce", 2, 0.2);
        expect(t, (uint32_t[]){'c'}, 1, "soon behind it");
        type(t, "e", 1, 1.5);
        expect(t, (uint32_t[]){'c', 'e'}, 2, "after a pause");
        type(t, (const char[]){033, *c}, 2, 0.001);
        type(t, "ce", 2, 0.001);
        type(t, "ce\a", 3, 5);
        expect(t, (uint32_t[]){'c', 'e'}, 2, "a string whose line stood still");
        free(t);
    }
}

Test(keys, a_paste_is_text)
{
    struct typed *t = begin();
    const char *paste = "\033[200~e c\n\033[31mn\303\251\033]0;c\a\003\033[201~n";
    type(t, paste, strlen(paste), 0.02);
    const uint32_t text[] = {'e', ' ', 'c', 'n', 0xE9, 'n'};
    expect(t, text, 6, "paste");
    for (int i = 0; i < t->n; i++)
        cr_assert_eq(t->event[i].pasted, i < 5);
    t->n = 0;
    type(t, "\033[200~e", 7, 0);
    type(t, "c", 1, 100);
    cr_assert(t->event[1].pasted, "however slow");
    type(t, "\033", 1, 0);
    type(t, "c", 1, 2); // its end was lost
    cr_assert(t->n == 3 && t->event[2].key == 'c' && !t->event[2].pasted);
    free(t);
}

// Where no terminal marks it, it is told by how much of how many kinds comes at once.
Test(keys, a_paste_without_marks)
{
    static const struct {
        const char *bytes;
        int first, later;
    } rows[] = {{"python train.py --epochs 10\nquit\ns\n", 1, 1},
                {"requests\n", 0, 1},
                {"/home/me/data\nls\n", 1, 1},
                {"/checkpoint\r", 0, 1},
                {":until 40% then multi-epoch\r", 0, 1},
                {"nnnnnnnnnnnnnnnnnnnnnnnn", 0, 1},
                {"3jjjjjjjjjj", 0, 1},
                {"1234512345 \303\251\303\250", 1, 1},
                {"python \033[201~ train.py --epochs", 0, 0},
                {"g1200\033\033[A:wq12", 0, 0},
                {"", 0, 0}};
    struct keys k = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int later = 0; later < 2; later++) {
            const unsigned char *s = (const unsigned char *)rows[i].bytes;
            cr_expect_eq(keys_pasted(&k, s, strlen(rows[i].bytes), later),
                         later ? rows[i].later : rows[i].first, "%s", rows[i].bytes);
        }
    struct typed *t = begin();
    type(t, "\033[200~", 6, 0);
    cr_expect(!keys_pasted(&t->k, (const unsigned char *)rows[0].bytes, 20, 1), "marked");
    free(t);
}

// --- random ones ---

static uint32_t seed = 1;

static uint32_t draw(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % n;
}

// The bytes at `s` that are one sequence or character, and whether they may be a key, told from the
// whole rest of the text; 0: it is cut off.
static size_t one(const unsigned char *s, size_t n, int *may)
{
    size_t i = 1;
    unsigned char c = s[0];
    *may = 1;
    if (c != 033 && (c < 0x80 || c >= 0xA0) && c < 0xC2)
        return 1;
    if (c >= 0xC2 && c < 0xF8) { // of UTF-8, or what begins so
        size_t more = c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
        while (i < n && i <= more && (s[i] & 0xC0) == 0x80)
            i++;
        if (i <= more)
            return i < n ? i : 0;
        if (c != 0xC2 || s[1] >= 0xA0)
            return i;
        c = s[1];
    }
    if (c >= 0x80 && c < 0xA0) {
        c -= 0x40;
    } else if (c == 033) {
        if (n < 2)
            return 0;
        c = s[i++];
        if (c == 033) // the first of two is nothing
            return (void)(*may = 0), (size_t)1;
    } else {
        return 1;
    }
    int is_c1 = s[0] != 033, is_paste = 0;
    if (c == '[' || c == 'O') {
        size_t from = i;
        for (; i < n; i++) {
            unsigned char b = s[i];
            if (b == 033)
                return (void)(*may = 0), i;
            if (c == '[' && i == from && (b == '[' || b == 'M')) {
                size_t want = b == 'M' ? 4 : 2;
                for (size_t j = 1; j < want; j++)
                    if (i + j < n && s[i + j] == 033)
                        return (void)(*may = 0), i + j;
                return i + want <= n ? i + want : 0;
            }
            if (b == 030 || b == 032 || b >= 0x80 || (b >= '@' && b != 127) ||
                (c == 'O' && (b < '0' || b > ';')))
                return i + 1;
        }
        return 0;
    }
    *may = is_paste;
    if (c && strchr("P]_^X", c)) {
        for (; i < n; i++) {
            if (s[i] == 7 || s[i] == 030 || s[i] == 032 || (is_c1 && s[i] == 0x9C))
                return i + 1;
            if (s[i] == 033)
                return i + 1 < n && s[i + 1] == '\\' ? i + 2 : i;
        }
        return 0;
    }
    if (is_c1)
        return i;
    if (c >= 0xC2 && c < 0xF8) { // Alt and a character
        size_t more = c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3, least = i;
        while (i < n && i < least + more && (s[i] & 0xC0) == 0x80)
            i++;
        return i < least + more && i >= n ? 0 : i;
    }
    return i;
}

// All 256 values, those of sequences more often; split at random places. An event ends with a byte
// that ends something of the text that may be a key, and other splits give the same events.
Test(keys, random_bytes_in_random_pieces)
{
    static const char often[] = "\033\033\033[[O]P_M;0123<>?~ACHRm \\\a encmqsd:\r";
    for (int round = 0; round < 10000; round++) {
        unsigned char s[64], ends[64] = {0};
        size_t n = 1 + draw(sizeof s - 1);
        for (size_t i = 0; i < n; i++)
            s[i] = (unsigned char)(draw(2) ? draw(256) : (uint32_t)often[draw(sizeof often - 1)]);
        for (size_t i = 0, length; i < n; i += length) {
            int may;
            if (!(length = one(s + i, n - i, &may)))
                break;
            ends[i + length - 1] = (unsigned char)may;
        }
        struct typed *whole = begin(), *pieces = begin();
        for (size_t i = 0; i < n; i++) {
            int before = whole->n;
            type(whole, s + i, 1, 0);
            if (whole->n > before && !whole->event[before].pasted)
                cr_assert(ends[i], "round %d, byte %zu of %zu (%02x) is key %x", round, i, n, s[i],
                          whole->event[before].key);
        }
        for (size_t i = 0, length; i < n; i += length) {
            length = 1 + draw((uint32_t)(n - i));
            pieces->now += 0.02;
            cr_assert_eq(keys_idle(&pieces->k, pieces->now, &pieces->event[pieces->n]), 0);
            type(pieces, s + i, length, 0);
        }
        cr_assert_eq(pieces->n, whole->n);
        cr_assert_arr_eq(pieces->event, whole->event, (size_t)whole->n * sizeof *whole->event);
        free(whole);
        free(pieces);
    }
}

// Known keys and unknown sequences one behind the other, in any order: exactly the keys come.
Test(keys, keys_among_sequences)
{
    for (int round = 0; round < 10000; round++) {
        struct typed *t = begin();
        uint32_t expected[40];
        int n = 0;
        for (int i = 0; i < 40; i++) {
            size_t which = draw(KNOWN + UNKNOWN);
            const char *s = which < KNOWN ? known[which].bytes : unknown[which - KNOWN];
            if (which < KNOWN)
                expected[n++] = known[which].key;
            type(t, s, strlen(s), draw(2) * 0.02);
        }
        expect(t, expected, n, "keys among sequences");
        free(t);
    }
}

// --- held keys ---

static void hold(struct desk *d, uint32_t key, double *now, int times)
{
    const struct keys_event ev = {.key = key};
    for (int i = 0; i < times; i++) {
        action_event(&d->ui, &ev, *now);
        *now += i ? 0.033 : 0.5;
        action_due(&d->ui, *now);
    }
}

static void answer(struct desk *d, enum command command)
{
    const struct answer yes = {.id = command + 3 * COMMAND_COUNT, .ok = 1};
    action_answer(&d->ui, &yes);
}

Test(keys, a_held_key_is_one_wish)
{
    struct desk d;
    double now = 10;
    desk_open(&d, 50);
    static const uint32_t keys[] = {'e', 'c', ' '};
    for (int i = 0; i < 3; i++, now += 2) {
        hold(&d, keys[i], &now, 90);
        cr_assert_eq(d.sent.n, i + 1, "%c held", (int)keys[i]);
        answer(&d, d.sent.last.command);
    }
    hold(&d, ' ', &now, 1);
    cr_assert_eq(d.sent.n, 4);
    cr_assert_eq(d.sent.last.command, COMMAND_RESUME);
    scene_free(&d.t);
}

// Two presses are two wishes, the second a moment late.
Test(keys, pressed_twice_is_two_wishes)
{
    struct desk d;
    const struct keys_event space = {.key = ' '}, other = {.key = 'l'};
    desk_open(&d, 50);
    action_event(&d.ui, &space, 10);
    action_event(&d.ui, &space, 10.3);
    cr_assert_eq(d.sent.n, 1);
    cr_assert_geq(keys_hold_patience(&d.ui.hold, 10.3), 0.1);
    action_due(&d.ui, 10.5);
    cr_assert_eq(d.sent.n, 2);
    cr_assert_eq(d.sent.last.command, COMMAND_RESUME);
    action_event(&d.ui, &space, 10.7);
    action_event(&d.ui, &other, 10.75); // another key: the one before was not held
    cr_assert_eq(d.sent.n, 3);
    cr_assert_eq(d.sent.last.command, COMMAND_PAUSE);
    scene_free(&d.t);
}

// A step after the other for as long as the key is held, and none when it is let go.
Test(keys, held_steps_do_not_queue)
{
    struct desk d;
    double now = 10;
    desk_open(&d, 50);
    hold(&d, 'n', &now, 30);
    cr_assert_eq(d.sent.n, 1);
    for (int i = 2; i < 10; i++) {
        answer(&d, COMMAND_STEP);
        hold(&d, 'n', &now, 3);
        cr_assert_eq(d.sent.n, i);
    }
    scene_free(&d.t);
}

// A word with q and s in it, pasted where the terminal does not say so, stops no training.
Test(keys, a_question_is_read_before_it_is_answered)
{
    struct desk d;
    const struct keys_event q = {.key = 'q'}, s = {.key = 's'};
    desk_open(&d, 50);
    action_event(&d.ui, &q, 10);
    cr_expect_eq(action_event(&d.ui, &s, 10), 0);
    cr_expect(d.sent.n == 0 && d.t.v.context == CONTEXT_QUIT, "it still asks");
    d.ui.unread = 0; // it was shown
    cr_expect_eq(action_event(&d.ui, &s, 10.1), UI_STOP);
    cr_expect_eq(d.sent.n, 1);
    scene_free(&d.t);
}

Test(keys, pasted_text_goes_into_open_lines_only)
{
    struct desk d;
    desk_open(&d, 50);
    const char *text = "e c m1q s:lr 2x";
    for (int i = 0; text[i]; i++)
        action_event(&d.ui, &(struct keys_event){.key = (uint32_t)text[i], .pasted = 1}, 10);
    cr_assert_eq(d.sent.n, 0);
    cr_assert_eq(d.t.v.context, CONTEXT_MAIN);
    desk_type(&d, ":");
    for (int i = 0; text[i]; i++)
        action_event(&d.ui, &(struct keys_event){.key = (uint32_t)text[i], .pasted = 1}, 10);
    cr_assert_str_eq(d.t.v.line.text, text);
    cr_assert_eq(d.sent.n, 0);
    scene_free(&d.t);
}
