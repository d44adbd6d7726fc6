// Logs from elsewhere: of the version before, of one to come, and written again by other tools.
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics/log/run_facts.h"
#include "metrics/log/runlog.h"
#include "tests/kit/runs.h"
#include "tests/kit/say.h"
#include "tests/kit/scene.h"
#include "tui/feed/playback.h"

static struct lab lab;
static char log_path[128], other[160];

// A run of 0.1.0 that was stopped at step 24 of 40, in a folder where it may be changed.
static void setup(void)
{
    char command[256];
    lab_open(&lab);
    snprintf(command, sizeof command, "cp -r tests/fixtures/run-0.1.0 %s/before", lab.dir);
    cr_assert_eq(system(command), 0);
    snprintf(log_path, sizeof log_path, "%s/before/run.jsonl.zst", lab.dir);
    snprintf(other, sizeof other, "%s/other", lab.dir);
}

static void teardown(void)
{
    unlink(other);
    lab_close(&lab);
}

TestSuite(elsewhere, .init = setup, .fini = teardown);

static void shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void shell(const char *fmt, ...)
{
    char command[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(command, sizeof command, fmt, args);
    va_end(args);
    cr_assert_eq(system(command), 0, "%s", command);
}

// A training of somebody else's that said nothing of its network, nor how long it is: what nobody
// told is left out, and a line fits into 80 columns where names do.
Test(elsewhere, a_run_that_tells_little_is_listed)
{
    struct record r;
    struct test_scene t;
    char path[160];
    scene_init(&t);
    snprintf(path, sizeof path, "%s/noloss", lab.dir);
    shell("mkdir %s", path);
    snprintf(path, sizeof path, "%s/noloss/run.jsonl.zst", lab.dir);
    cr_assert_eq(runlog_create(path, &t.log, NULL), 0);
    record_init(&r, RECORD_RUN, -1);
    snprintf(r.u.run.can, sizeof r.u.run.can, "pause resume step stop");
    snprintf(r.u.run.dataset.name, sizeof r.u.run.dataset.name, "fashion-mnist");
    scene_add(&t, &r);
    for (int i = 0; i < 1200; i++) {
        record_init(&r, RECORD_STEP, i);
        scene_add(&t, &r);
    }
    cr_assert_eq(runlog_close(t.log, NULL), 0);
    struct said s = SAY("runs", "--runs", lab.dir);
    cr_expect(strstr(s.out, "noloss  died           1 200               fashion-mnist\n"), "%s",
              s.out);
    cr_expect(strstr(s.out, "before  stopped           24 / 40          synthetic:"), "%s", s.out);
    cr_expect(strstr(s.out, "  resnet18 x4\n"), "%s", s.out);
    for (const char *line = s.out; *line; line += strcspn(line, "\n") + 1)
        cr_expect_leq(strcspn(line, "\n"), 79, "%s", line);
    said_free(&s);
    scene_free(&t);
}

// What a viewer has of a log that it has read to its end.
static struct playback *replayed(const char *path, struct error *e)
{
    const char *name = "elsewhere";
    struct playback *p;
    if (playback_open(&path, &name, 1, 0, &p, e))
        return NULL;
    for (int timeout = 0; timeout == 0; timeout = 1000, playback_poll(p, &timeout))
        if (playback_pump(p, 0, e) < 0) {
            playback_free(p);
            return NULL;
        }
    return p;
}

// The schedule that is drawn for it.
static const struct schedule_view *schedule_of(struct playback *p)
{
    static struct view_state v;
    static struct scene s;
    view_init(&v);
    playback_tick(p, &v, 0);
    playback_scene(p, &v, &s);
    return s.schedule;
}

// --- the version before ---

Test(elsewhere, the_version_before_is_read)
{
    struct error e = {""};
    struct said s = SAY("log", "check", log_path);
    cr_assert(s.code == 0 && strstr(s.out, "24 step, 27 spectrum, 3 eval, 1 event, 3 checkpoint"),
              "%s%s", s.out, s.err);
    said_free(&s);
    s = SAY("export", log_path, "--what", "eval", "--columns", "step,probe");
    cr_assert_eq(s.code, 0);
    cr_assert_str_eq(s.out, "step,probe\n0,0.40909090909090912\n12,0.15909090909090909\n"
                            "24,0.18181818181818182\n");
    cr_assert_str_empty(s.err);
    said_free(&s);
    struct playback *p = replayed(log_path, &e);
    cr_assert(p, "%s", e.text);
    const struct history *h = playback_history(p);
    cr_expect_eq(h->last_step, 23);
    cr_expect_eq(h->batch, 32);
    cr_expect_str_eq(h->method, "simsiam");
    cr_expect_eq(h->n_eval, 3);
    cr_expect_eq(h->live_rows.n, 24);
    cr_expect(schedule_of(p)->known);
    cr_expect_null(playback_lost(p));
    playback_free(p);
}

// On another processor it is not the same to the last bit, but it goes on.
Test(elsewhere, the_version_before_is_gone_on_with)
{
    cr_assert_eq(RUN(&lab, "--resume", "before", "--inexact", "--stop-at", "40"), 0, "%s", lab.out);
    struct said s = SAY("log", "check", log_path);
    cr_assert(s.code == 0 && strstr(s.out, "steps   0 to 39\n"), "%s%s", s.out, s.err);
    said_free(&s);
}

// What computes it is another processor or another oneDNN: the word in the checkpoint says so.
Test(elsewhere, other_kernels_are_said)
{
    shell("LC_ALL=C sed -i 's/x86-64-v3-7-f32:/x86-64-v9-7-f32:/g' %s/before/*.safetensors",
          lab.dir);
    cr_expect_eq(RUN(&lab, "--resume", "before", "--stop-at", "40"), 1);
    char *said = lab_text(lab.out);
    cr_expect(strstr(said, "x86-64-v9-7-f32:") && strstr(said, "--inexact allows it"), "%s", said);
    free(said);
    cr_expect_eq(RUN(&lab, "--resume", "before", "--inexact", "--stop-at", "40"), 0, "%s", lab.out);
}

// --- a version to come ---

// Another option, one less: all that is told is shown.
Test(elsewhere, another_option_hides_nothing)
{
    struct error e = {""};
    shell(
        "zstd -dcq %s | sed 's/\"chunks\":\"3\",//; s/\"tau\":\"auto\"/\"heads\":\"7\"/' | zstd -q "
        "> %s",
        log_path, other);
    struct playback *p = replayed(other, &e);
    cr_assert(p, "%s", e.text);
    const struct history *h = playback_history(p);
    cr_expect(strstr(h->run.config, "heads") && !strstr(h->run.config, "chunks"));
    cr_expect_eq(h->batch, 32);
    cr_expect_str_eq(h->method, "simsiam");
    cr_expect_eq(h->run.steps, 40);
    cr_expect_eq(h->run.model.width, 4);
    cr_expect(history_eta(h) > 0);
    cr_expect(schedule_of(p)->known);
    cr_expect_eq(schedule_view_mode(schedule_of(p), h, 39), MODE_MULTI_EPOCH);
    playback_free(p);
}

Test(elsewhere, facts_are_taken_as_they_come)
{
    struct record_run r = {.config =
                               "{\"batch\":64,\"seed\":\"18446744073709551615\",\"chunks\":\"-1\","
                               "\"method\":7,\"predictor\":\"off\",\"stop-gradient\":false}"};
    struct run_facts f;
    run_facts_read(&r, &f);
    cr_expect(f.batch == 64 && f.seed == UINT64_MAX && f.chunks == 0);
    cr_expect(!f.method[0] && !f.schedule[0] && !f.predictor && !f.stop_gradient);
    cr_expect_str_eq(f.augment, "auto");
    r.config = NULL;
    run_facts_read(&r, &f);
    cr_expect(f.batch == 0 && f.predictor && f.stop_gradient);
    r.config = "[]";
    run_facts_read(&r, &f);
    cr_expect_eq(f.batch, 0);
}

// "Whatever breaks this promise carries another number, which readers should refuse."
Test(elsewhere, another_version_is_refused)
{
    struct error e = {""};
    char file[200];
    snprintf(file, sizeof file, "%s.2", other);
    shell("zstd -dcq %s | sed 's/\"version\":1/\"version\":2/' | zstd -q > %s", log_path, other);
    const char *const call[][6] = {
        {"log", "check", other},
        {"log", "repair", other, "-o", file},
        {"export", other},
        {"export", other, "--what", "eval"},
        {"export", other, "--what", "spectrum", "--from", "3"},
        {"export", other, "--format", "svg"},
    };
    for (size_t i = 0; i < sizeof call / sizeof *call; i++) {
        const char *word[7] = {0};
        memcpy(word, call[i], sizeof call[i]);
        struct said s = say(0, word);
        cr_expect(s.code == 1 && strstr(s.err, "a log of version 2"), "%zu: %d %s", i, s.code,
                  s.err);
        cr_expect_str_empty(s.out);
        said_free(&s);
    }
    cr_expect_eq(access(file, F_OK), -1);
    cr_expect_null(replayed(other, &e));
    cr_expect(strstr(e.text, "a log of version 2"), "%s", e.text);
    shell("cp %s %s", other, log_path);
    cr_expect_eq(RUN(&lab, "--resume", "before", "--inexact"), 1);
    char *said = lab_text(lab.out);
    cr_expect(strstr(said, "a log of version 2"), "%s", said);
    free(said);
}

// So does what is no such number at all.
Test(elsewhere, versions_that_are_none_are_refused)
{
    static const char *const version[] = {"0", "1.5", "\"1\"", "[1]", "-1"};
    for (size_t i = 0; i < sizeof version / sizeof *version; i++) {
        shell("zstd -dcq %s | sed 's/\"version\":1/\"version\":%s/' > %s", log_path, version[i],
              other);
        struct said s = SAY("export", other);
        cr_expect(s.code == 1 && strstr(s.err, "only version 1 is known"), "%s: %d %s", version[i],
                  s.code, s.err);
        cr_expect_str_empty(s.out);
        said_free(&s);
    }
}

// --- other tools ---

// What is no log, or one that is packed otherwise, is called that.
Test(elsewhere, other_files_are_called_by_their_names)
{
    static const struct {
        const char *pack, *says;
    } file[] = {
        {"gzip -c", "gunzip"},
        {"tr '\\n' ' ' | sed 's/^/[/'", "no record a line"},
        {"echo version https://git-lfs.github.com/spec/v1", "git lfs pull"},
        {"sed 's/[:,]/&\\n/g' | zstd -q", "nothing in it can be read"},
        {"sed 's/[:,]/&\\n/g'", "nothing in it can be read"},
    };
    for (size_t i = 0; i < sizeof file / sizeof *file; i++) {
        shell("zstd -dcq %s | %s > %s", log_path, file[i].pack, other);
        struct said s = SAY("export", other);
        cr_expect(s.code == 1 && strstr(s.err, file[i].says), "%s: %d %s", file[i].pack, s.code,
                  s.err);
        said_free(&s);
        s = SAY("log", "check", other);
        cr_expect_eq(s.code, 1, "%s", s.out);
        said_free(&s);
    }
}

// The same lines, however they are packed, are the same to everybody.
Test(elsewhere, written_again_is_read_alike)
{
    static const char *const pack[] = {
        "zstd -q",                  // one frame, its size not told
        "zstd -q --no-check",       // and without a checksum
        "cat",                      // plain lines
        "head -c -1",               // and the last without an end
        "sed '1s/^/\xef\xbb\xbf/'", // as Windows begins a text
        "sed '1s/^/\xef\xbb\xbf/;s/$/\r/' | zstd -q",
        "split -l 7 --filter='zstd -q'", // frames of some lines
        "sed 's/^{\\(\"type\":\"[a-z]*\"\\),\\(.*\\)}$/{\\2,\\1}/' | zstd -q", // members in another
                                                                               // order
    };
    static const char *const what[] = {"step", "eval", "event", "spectrum", "checkpoint"};
    enum { WHAT = sizeof what / sizeof *what };
    struct said want[WHAT];
    struct error e = {""};
    char mended[200];
    snprintf(mended, sizeof mended, "%s.mended", other);
    for (int k = 0; k < WHAT; k++)
        want[k] = SAY("export", log_path, "--what", what[k]);
    for (size_t i = 0; i < sizeof pack / sizeof *pack; i++) {
        shell("zstd -dcq %s | %s > %s", log_path, pack[i], other);
        struct said s = SAY("log", "check", other);
        cr_expect(s.code == 0 && strstr(s.out, "24 step, 27 spectrum, 3 eval") &&
                      strstr(s.out, "lost    nothing"),
                  "%s: %s%s", pack[i], s.out, s.err);
        said_free(&s);
        s = SAY("log", "repair", other, "-o", mended);
        cr_expect_eq(s.code, 0, "%s: %s", pack[i], s.err);
        cr_expect_str_empty(s.err);
        said_free(&s);
        for (int k = 0; k < 2 * WHAT; k++) {
            s = SAY("export", k < WHAT ? other : mended, "--what", what[k % WHAT]);
            cr_expect_eq(s.code, 0, "%s: %s", pack[i], s.err);
            // A repaired log has spectra behind scalars: within a kind the order is the same.
            if (strcmp(what[k % WHAT], "spectrum") != 0)
                cr_expect_str_eq(s.out, want[k % WHAT].out, "%s: %s", pack[i], what[k % WHAT]);
            else
                cr_expect_eq(strlen(s.out), strlen(want[k % WHAT].out), "%s", pack[i]);
            cr_expect_str_empty(s.err);
            said_free(&s);
        }
        struct playback *p = replayed(other, &e);
        cr_assert(p, "%s: %s", pack[i], e.text);
        cr_expect_eq(playback_history(p)->last_step, 23);
        cr_expect_eq(playback_history(p)->live_rows.n, 24);
        cr_expect_eq(playback_history(p)->exact.step, 24);
        cr_expect_null(playback_lost(p));
        playback_free(p);
        unlink(mended);
    }
    for (int k = 0; k < WHAT; k++)
        said_free(&want[k]);
}

// Plain lines are nothing to append frames to.
Test(elsewhere, plain_lines_are_not_gone_on_with)
{
    struct runlog_writer *w;
    struct error e = {""};
    shell("zstd -dcq %s > %s", log_path, other);
    cr_assert_eq(runlog_append(other, &w, NULL, &e), -1);
    cr_assert(strstr(e.text, "log repair"), "%s", e.text);
}

// Lines that are no records: the others are read, and all say how many those were.
Test(elsewhere, strangers_are_counted_aloud)
{
    static const char *const pack[] = {"zstd -q", "cat"};
    struct error e = {""};
    char mended[200];
    snprintf(mended, sizeof mended, "%s.mended", other);
    for (int i = 0; i < 2; i++) {
        shell("(zstd -dcq %s; echo my diary; echo '{\"type\":\"step\",\"step\":24,'; echo '[1]') | "
              "%s "
              "> %s",
              log_path, pack[i], other);
        struct said s = SAY("log", "check", other);
        cr_expect(s.code == 1 && strstr(s.out, "lost    3 lines are no records"), "%s", s.out);
        said_free(&s);
        s = SAY("export", other);
        cr_expect(s.code == 0 && strstr(s.err, "3 lines are no records"), "%s", s.err);
        said_free(&s);
        s = SAY("export", other, "--format", "svg");
        cr_expect(s.code == 0 && strstr(s.err, "3 lines are no records"), "%s", s.err);
        said_free(&s);
        s = SAY("log", "repair", other, "-o", mended);
        cr_expect(s.code == 0 && strstr(s.err, "3 lines are no records"), "%s", s.err);
        said_free(&s);
        s = SAY("log", "check", mended);
        cr_expect_eq(s.code, 0);
        said_free(&s);
        unlink(mended);
        struct playback *p = replayed(other, &e);
        cr_assert(p, "%s", e.text);
        cr_expect_eq(playback_history(p)->last_step, 23);
        cr_expect(strstr(playback_lost(p), "3 lines are no records"));
        playback_free(p);
    }
}
