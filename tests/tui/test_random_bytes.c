// Ten thousand random bytes, of all 256 values and split at random places, and a hundred sizes
// against a training that runs: what no documented key said is not done, the screen is right in the
// end, and the terminal is as it was. A tenth of it by default; RANDOM_BYTES=10000 is all.
#include <criterion/criterion.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "metrics/base/clock.h"
#include "metrics/base/rng.h"
#include "tests/kit/runs.h"
#include "tests/kit/session.h"
#include "tests/kit/watched.h"

enum { ITEM = 160, USUAL = 1000, EACH = 100 }; // a size each so many bytes

struct typist {
    struct session s;
    struct watched r;
    struct rng rng;
    unsigned char seen[256];
    int typed[256]; // as keys, of the second test
    int sizes;
};

static int draw(struct typist *t, int n)
{
    return (int)rng_below(&t->rng, (uint64_t)n);
}

static int wanted_bytes(void)
{
    const char *text = getenv("RANDOM_BYTES");
    return text && *text ? atoi(text) : USUAL;
}

// What was sent is all read, as far as it comes at once.
static int drain(struct session *s)
{
    int rc;
    while ((rc = session_feed(s, 0)) > 0)
        continue;
    return rc;
}

static void put(struct typist *t, const unsigned char *bytes, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t k = write(t->s.master, bytes + done, n - done);
        cr_assert(k > 0);
        done += (size_t)k;
        drain(&t->s);
    }
    for (size_t i = 0; i < n; i++)
        t->seen[bytes[i]] = 1;
}

static void resize(struct typist *t, int bytes)
{
    for (; t->sizes < bytes / EACH; t->sizes++)
        session_resize(&t->s, 1 + draw(t, 60), 1 + draw(t, 200));
}

// ---------------------------------------------------------------- what is no order

// Keys that steer, leave, or open a line in which letters are text; and those that change how a
// screen is drawn, so that it can be compared with another in the end.
static const char kept_back[] = "mnec dq:/g\003\032\033lawtx[].,+-=\020";

static size_t some_keys(struct typist *t, unsigned char *out)
{
    size_t n = 1 + (size_t)draw(t, 60);
    for (size_t i = 0; i < n; i++)
        do
            out[i] = (unsigned char)draw(t, 256);
        while (out[i] && strchr(kept_back, out[i]));
    return n;
}

// ESC [ parameters, then a byte that ends it, whatever letter that is.
static size_t a_sequence(struct typist *t, unsigned char *out)
{
    static const char inner[] = "0123456789;:<=>?!$ \"'";
    size_t n = 0;
    out[n++] = '\033';
    out[n++] = draw(t, 3) ? '[' : 'O';
    for (int i = out[1] == '[' ? draw(t, 12) : 0; i > 0; i--)
        out[n++] = (unsigned char)inner[draw(t, sizeof inner - 1)];
    do
        out[n] = (unsigned char)(0x40 + draw(t, 0x3f));
    while (n == 2 && strchr("[MO", out[n])); // these want more
    return n + 1;
}

static size_t with_alt(struct typist *t, unsigned char *out)
{
    static const char orders[] = "mnec dq:/g\r\tslhij";
    out[0] = '\033';
    out[1] = (unsigned char)orders[draw(t, sizeof orders - 1)];
    return 2;
}

// A string of the terminal's (title, colours, termcap), with an end.
static size_t a_string(struct typist *t, unsigned char *out)
{
    static const char begin[] = "]P_^X";
    size_t n = 0;
    out[n++] = '\033';
    out[n++] = (unsigned char)begin[draw(t, sizeof begin - 1)];
    for (int i = draw(t, 40); i > 0; i--)
        out[n++] = (unsigned char)(0x20 + draw(t, 0x5f));
    out[n++] = '\033';
    out[n++] = '\\';
    return n;
}

// Everything but what would end it.
static size_t a_paste(struct typist *t, unsigned char *out)
{
    size_t n = (size_t)sprintf((char *)out, "\033[200~");
    for (int i = draw(t, 60); i > 0; i--) {
        unsigned char c = (unsigned char)draw(t, 256);
        out[n++] = c == '\033' ? 'm' : c;
    }
    return n + (size_t)sprintf((char *)out + n, "\033[201~");
}

// Buttons that are none of ours, releases, motion.
static size_t a_mouse(struct typist *t, unsigned char *out)
{
    static const int button[] = {1, 2, 3, 32, 33, 34, 35, 66, 67, 128};
    return (size_t)sprintf((char *)out, "\033[<%d;%d;%d%c", button[draw(t, 10)], 1 + draw(t, 250),
                           1 + draw(t, 90), draw(t, 2) ? 'M' : 'm');
}

static size_t a_reply(struct typist *t, unsigned char *out)
{
    static const char *const reply[] = {"\033[I",
                                        "\033[O",
                                        "\033[?62;22c",
                                        "\033[12;40R",
                                        "\033]11;rgb:1e1e/1e1e/1e1e\033\\",
                                        "\033P1+r544e=787465726d\033\\",
                                        "\033[?2026;2$y",
                                        "\033[109;5u",
                                        "\033[27;5;109~"};
    return (size_t)sprintf((char *)out, "%s", reply[draw(t, 9)]);
}

static size_t (*const item[])(struct typist *t, unsigned char *out) = {
    some_keys, some_keys, a_sequence, with_alt, a_string, a_paste, a_mouse, a_reply};

// In pieces, but never so that an Escape stands alone for long: then it is the key.
static void put_in_pieces(struct typist *t, const unsigned char *bytes, size_t n)
{
    for (size_t at = 0, k; at < n; at += k) {
        k = 1 + (size_t)draw(t, (int)(n - at));
        while (at + k < n && bytes[at + k - 1] == '\033')
            k++;
        put(t, bytes + at, k);
        if (draw(t, 4) == 0)
            cr_assert_geq(session_feed(&t->s, draw(t, 30)), 0, "the viewer ended");
    }
}

static int by_keys(const struct watched *r, const char *what)
{
    struct lab lab;
    snprintf(lab.dir, sizeof lab.dir, "%s", r->runs);
    json_t *events = lab_events(&lab, "v"), *o;
    size_t i;
    int n = 0;
    json_array_foreach(events, i, o)
    {
        n += strcmp(json_string_value(json_object_get(o, "by")), "key") == 0 &&
             (!what || strcmp(json_string_value(json_object_get(o, "what")), what) == 0);
    }
    json_decref(events);
    return n;
}

static void attach(struct session *s, struct watched *r)
{
    char *argv[] = {"ssltop", "attach", "--runs", r->runs, "v", NULL};
    session_start(s, argv);
}

// The overview of the whole run, of h, with nothing open and nothing selected.
static void come_back(struct session *s)
{
    for (int i = 0; i < 3; i++) {
        session_type(s, "\033");
        while (session_feed(s, 150) > 0)
            continue;
    }
    session_type(s, "10\033OF");
    session_wait(s, "PAUSED");
    if (strstr(session_text(s), "spectrum of z"))
        session_type(s, "z");
}

static void expect_same_screens(struct session *a, struct session *b)
{
    static char was[sizeof a->text];
    double end = clock_seconds() + DEADLINE;
    for (;;) {
        strcpy(was, session_text(a));
        if (strcmp(was, session_text(b)) == 0)
            return;
        cr_assert_lt(clock_seconds(), end, "it shows\n%s\na new one\n%s", was, b->text);
        cr_assert(session_feed(a, 100) >= 0 && session_feed(b, 100) >= 0);
    }
}

Test(random_bytes, that_are_no_order_give_none)
{
    static struct typist t;
    struct session fresh = {0};
    int bytes = wanted_bytes(), n = 0;
    rng_init(&t.rng, 7, RNG_TEST, 2, 0);
    watched_make(&t.r);
    watched_start(&t.s, &t.r);
    while (n < bytes) {
        unsigned char text[ITEM];
        size_t k = item[draw(&t, sizeof item / sizeof *item)](&t, text);
        put_in_pieces(&t, text, k);
        n += (int)k;
        resize(&t, n);
    }
    // All that could be an order has been looked at when one that is one has an answer.
    session_resize(&t.s, 24, 80);
    cr_assert_eq(by_keys(&t.r, NULL), 0, "an order was given");
    cr_assert_eq(watched_ask(&t.r, COMMAND_STATUS).paused, 0);
    cr_assert(watched_ask(&t.r, COMMAND_PAUSE).ok);
    come_back(&t.s);
    cr_assert_eq(by_keys(&t.r, NULL), 0, "an order was given");
    attach(&fresh, &t.r);
    session_wait(&fresh, "PAUSED");
    come_back(&fresh);
    expect_same_screens(&t.s, &fresh);
    pid_t trainer = watched_trainer(&t.r);
    session_type(&t.s, "d");
    session_end(&t.s);
    session_type(&fresh, "d");
    session_end(&fresh);
    if (bytes >= 5000)
        for (int c = 0; c < 256; c++)
            cr_expect(t.seen[c], "byte %02x was never sent", c);
    watched_end(&t.r, trainer);
}

// ---------------------------------------------------------------- any byte at all

// Behind the key that leaves, Ctrl-C and Ctrl-\ are the terminal's again.
static void gone_by_any_byte(struct session *s)
{
    int status = session_finish(s, 1), sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    cr_assert(status == 0 || sig == SIGINT || sig == SIGQUIT, "%d", status);
}

// But Ctrl-Z, which stops the viewer, and s, which may stop the training that is looked at.
Test(random_bytes, give_the_orders_of_their_keys_at_most)
{
    static const struct {
        const char *what;
        unsigned char key;
    } order[] = {{"pause", ' '}, {"resume", ' '}, {"step", 'n'}, {"eval", 'e'}, {"checkpoint", 'c'},
                 {"mode", 'm'},  {"lr", 0},       {"until", 0},  {"stop", 0}};
    static struct typist t;
    int bytes = wanted_bytes();
    rng_init(&t.rng, 8, RNG_TEST, 3, 0);
    watched_make(&t.r);
    watched_start(&t.s, &t.r);
    pid_t trainer = watched_trainer(&t.r);
    for (int n = 0; n < bytes;) {
        unsigned char text[32];
        int k = 1 + draw(&t, sizeof text - 1), ended = 0;
        for (int i = 0; i < k; i++) {
            do
                text[i] = (unsigned char)draw(&t, 256);
            while (text[i] == 's' || text[i] == 032);
            t.typed[text[i]]++;
        }
        if (write(t.s.master, text, (size_t)k) != k)
            ended = 1;
        n += k;
        for (int rc; !ended && (rc = session_feed(&t.s, draw(&t, 8) ? 0 : 60)) != 0;)
            ended = rc < 0;
        resize(&t, n);
        // Leaving is a key as well.
        siginfo_t gone = {0};
        cr_assert(waitid(P_PID, (id_t)t.s.pid, &gone, WEXITED | WNOHANG | WNOWAIT) == 0);
        if (gone.si_pid == t.s.pid) {
            gone_by_any_byte(&t.s);
            attach(&t.s, &t.r);
            session_wait(&t.s, "ssltop");
        }
    }
    session_resize(&t.s, 24, 80);
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        int given = by_keys(&t.r, order[i].what), most = order[i].key ? t.typed[order[i].key] : 0;
        cr_expect(given <= most, "%s: %d times, its key came %d times", order[i].what, given, most);
    }
    for (int i = 0; i < 3; i++) {
        session_type(&t.s, "\033");
        while (session_feed(&t.s, 150) > 0)
            continue;
    }
    session_type(&t.s, "d");
    gone_by_any_byte(&t.s);
    watched_end(&t.r, trainer);
}
