// ssltop pack: images:DIR, decoded and made small once, as one file to train from.
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "metrics/base/file.h"
#include "data/sets/dataset_table.h"
#include "data/sets/pack.h"
#include "metrics/base/clock.h"
#include "metrics/base/signals.h"
#include "metrics/base/text.h"
#include "tui/cli/cmd.h"
#include "tui/model/format.h"

enum { BAR = 30, LINE_SECONDS = 10 };

static volatile sig_atomic_t caught;

static void note_signal(int sig)
{
    caught = sig;
}

static void heed_signals(void)
{
    static const int ending[] = {SIGNALS_ENDING};
    enum { ENDING = sizeof ending / sizeof *ending };
    unsigned ignored = signals_ignored(ending, ENDING);
    struct sigaction act = {.sa_handler = note_signal};
    for (int i = 0; i < ENDING; i++)
        if (!(ignored >> i & 1))
            sigaction(ending[i], &act, NULL);
}

struct showing {
    int terminal;
    double begun, told;
};

static void print_bar(const struct pack_progress *p)
{
    int full = p->n ? (int)(BAR * p->done / p->n) : 0;
    fputs("\r[", stderr);
    for (int i = 0; i < BAR; i++)
        fputc(i < full ? '#' : '.', stderr);
    fputs("] ", stderr);
}

// A bar on a terminal, else a line now and then.
static int tell(void *context, const struct pack_progress *p)
{
    struct showing *s = context;
    double t = clock_seconds(), seconds = t - s->begun;
    int64_t made = p->done - p->resumed;
    if (caught)
        return 1;
    if (!s->terminal && t - s->told < LINE_SECONDS)
        return 0;
    if (s->terminal && t - s->told < 0.2 && p->done < p->n)
        return 0;
    s->told = t;
    if (s->terminal)
        print_bar(p);
    fprintf(stderr, "%s / %s images", format_count(p->done).s, format_count(p->n).s);
    if (seconds > 0.5 && made > 0) {
        double left = (double)(p->n - p->done) * seconds / (double)made;
        fprintf(stderr, "  %.0f img/s  %d:%02d left", (double)made / seconds, (int)(left / 60),
                (int)left % 60);
    }
    if (p->broken)
        fprintf(stderr, "  %" PRId64 " broken", p->broken);
    fputs(s->terminal ? "\033[K" : "\n", stderr);
    return 0;
}

static int pack(const char *spec, const char *path, int size, int threads, struct error *e)
{
    struct dataset d;
    struct pack_progress made;
    struct showing showing = {
        .terminal = isatty(STDERR_FILENO), .begun = clock_seconds(), .told = clock_seconds()};
    struct pack_options o = {
        .path = path, .size = size, .threads = threads, .tell = tell, .context = &showing};
    char shown[300], name[sizeof d.name];
    if (cmd_spares_runs(path, e) < 0 || cmd_spares_data(path, spec, PACK_MAGIC, e) < 0)
        return CMD_FAILED;
    // Until the set is open there is nothing that a signal should keep: it ends the process.
    if (showing.terminal)
        fputs("reading the data", stderr);
    int opened = dataset_open_sized(spec, 1, 0, threads, &d, e);
    if (showing.terminal)
        fputs("\r\033[K", stderr);
    if (opened < 0)
        return CMD_FAILED;
    showing.begun = clock_seconds();
    heed_signals();
    int rc = pack_write(&d, &o, &made, e);
    if (showing.terminal)
        fputc('\n', stderr);
    dataset_tell(&d, stderr);
    text_clean(shown, sizeof shown, path);
    text_clean(name, sizeof name, d.name);
    int64_t left_out = made.broken;
    for (int s = 0; s < SPLIT_COUNT; s++)
        left_out += d.split[s].source ? d.split[s].source->dropped : 0;
    if (rc == 0)
        fprintf(file_is_standard(path) ? stderr : stdout,
                "%s: %s images of %s, %s, %" PRId64 " left out\n", shown,
                format_count(made.done - made.broken).s, name, format_bytes((double)made.bytes).s,
                left_out);
    else if (rc > 0)
        fprintf(stderr, "stopped after %s of %s images; the same command goes on\n",
                format_count(made.done).s, format_count(made.n).s);
    dataset_close(&d);
    return rc < 0 ? CMD_FAILED : rc > 0 ? 128 + caught : CMD_OK;
}

struct wanted {
    const char *out;
    int size, threads;
};

const struct option_row cmd_pack_options[] = {
    {CMD_WORD("o", out, "FILE"), .doc = "Where the packed images go; --data pack:FILE reads them."},
    {CMD_ROW("size", OPTION_INT, size), .argument = "N", .fallback = "256",
     OPTION_RANGE(1, PACK_SIDE_MAX),
     .doc = "Their shorter side in pixels. Smaller images keep their size. An image takes about 4 "
            "N N bytes."},
    {OPTION_THREADS(struct wanted, PACK_THREADS_MAX),
     .doc = "Threads that decode. auto: all cores."},
    {0},
};

int cmd_pack(int argc, char **argv)
{
    struct error e = {""};
    struct wanted w = {0};
    int rc = cmd_parse(&argc, argv, &w);
    if (rc != CMD_GO_ON)
        return rc;
    if (!w.out)
        return cmd_refuse("pack needs -o FILE");
    rc = pack(argv[1], w.out, w.size, w.threads, &e);
    fflush(stdout);
    return cmd_complain(rc, &e);
}
