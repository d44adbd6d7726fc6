// A training of two processes (torch.distributed over gloo): rank 0 records, both obey.
#include <criterion/criterion.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kit/script.h"
#include "tests/kit/theirs.h"

enum { RANKS = 2, GATHERED = 6, LOOK_MS = 5, PATIENCE_MS = 60000 };
#define FILE_OF_RANKS "tests/train/python_ranks.py"

static struct lab lab;
static char file[128]; // where the ranks meet

static void open_lab(void)
{
    script_lab(&lab);
    snprintf(file, sizeof file, "%s/meeting", lab.dir);
}

static void close_lab(void)
{
    script_left_nothing(&lab);
    lab_close(&lab);
}

TestSuite(ranks, .init = open_lab, .fini = close_lab, .timeout = 240);

static void start(const char *what, const char *name, pid_t pid[RANKS])
{
    for (int rank = 0; rank < RANKS; rank++)
        pid[rank] = SCRIPT(&lab, FILE_OF_RANKS, what, rank ? "1" : "0", file, name);
}

static void finish(const pid_t pid[RANKS])
{
    for (int rank = 0; rank < RANKS; rank++)
        script_finish(&lab, pid[rank], 0);
}

// Wait until both have agreed many times on staying paused: a pause of any length is more of it.
static void until_paused_for_long(void)
{
    char path[64];
    for (int rank = 0; rank < RANKS; rank++) {
        snprintf(path, sizeof path, "meeting.%d.paused", rank);
        for (int waited = 0; !lab_exists(&lab, path); waited += LOOK_MS) {
            cr_assert(waited < PATIENCE_MS, "rank %d is not kept alive while it is paused", rank);
            poll(NULL, 0, LOOK_MS);
        }
    }
}

// What is ordered of rank 0 holds for both, from the same step on.
Test(ranks, agree)
{
    char path[RANKS][140], want[64];
    pid_t pid[RANKS];
    start("follows", "both", pid);
    if (!lab_started(&lab, "both", pid[0])) // no torch
        finish(pid);
    lab_until_step(&lab, "both", 3);
    struct answer a = lab_say(&lab, "both", "pause");
    cr_assert(a.ok, "%s", a.text);
    int64_t at = a.step;
    lab_until_paused(&lab, "both");
    until_paused_for_long();
    cr_expect(lab_say(&lab, "both", "status").step == at);
    cr_expect(lab_say(&lab, "both", "checkpoint").ok);
    a = lab_say(&lab, "both", "mode cumulative");
    cr_expect(a.ok, "%s", a.text);
    snprintf(want, sizeof want, "[%" PRId64 "] 0:multi-epoch@4,%" PRId64 ":cumulative@4", at,
             a.step);
    a = lab_say(&lab, "both", "step");
    cr_expect(a.ok && a.step == at, "%s", a.text);
    cr_expect(lab_say(&lab, "both", "resume").ok);
    lab_until_step(&lab, "both", at + 5);
    cr_expect(lab_say(&lab, "both", "stop").ok);
    finish(pid);
    char *said[RANKS];
    for (int rank = 0; rank < RANKS; rank++) {
        snprintf(path[rank], sizeof path[0], "%s.%d", file, rank);
        said[rank] = lab_text(path[rank]);
    }
    cr_expect(strcmp(said[0], said[1]) == 0, "%s, and %s", said[0], said[1]);
    cr_expect(strstr(said[0], want) != NULL, "%s is not in %s", want, said[0]);
    cr_expect(strtoll(said[0], NULL, 10) >= at + 5);
    for (int rank = 0; rank < RANKS; rank++)
        free(said[rank]);
    script_ended(&lab, "both", "stopped", "");
}

// gather=True: the numbers of both ranks' features are those of one process that has them all.
Test(ranks, features_of_all)
{
    static const char *const field[] = {"auc", "rankme", "zstd", "uniformity", "alignment"};
    pid_t pid[RANKS];
    start("gathers", "parts", pid);
    script_finish(&lab, pid[1], 0);
    script_finish(&lab, pid[0], 0);
    script_said(&lab, "ranks hand over features of different names, widths or types");
    script_finish(&lab, SCRIPT(&lab, FILE_OF_RANKS, "gathers", "alone", file, "whole"), 0);
    json_t *parts = lab_log(&lab, "parts"), *whole = lab_log(&lab, "whole");
    for (int64_t t = 0; t < GATHERED; t++)
        for (size_t i = 0; i < sizeof field / sizeof *field; i++) {
            double x = theirs_field(parts, "step", t, field[i]);
            cr_expect(isfinite(x) && x == theirs_field(whole, "step", t, field[i]),
                      "%s of step %" PRId64 ": %.17g", field[i], t, x);
        }
    for (int64_t t = GATHERED; t < GATHERED + 2; t++)
        cr_expect(isnan(theirs_field(parts, "step", t, "auc")));
    json_decref(parts);
    json_decref(whole);
}
