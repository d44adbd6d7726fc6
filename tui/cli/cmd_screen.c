// The commands with a screen: train, attach, replay.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics/base/clock.h"
#include "metrics/base/path.h"
#include "metrics/base/text.h"
#include "train/options/options.h"
#include "train/run/runs.h"
#include "train/run/trainer.h"
#include "tui/cli/cmd.h"
#include "tui/cli/launch.h"
#include "tui/cli/viewer.h"
#include "tui/draw/theme.h"
#include "tui/feed/underlay.h"
#include "tui/hands/terminal.h"

struct wanted {
    const char *runs, *theme_name, *reference;
    int ascii;
};

static int theme_value(int i, char *text, size_t size)
{
    return option_put(theme_table[i].name, text, size);
}

const struct option_row screen_option_table[] = {
    {CMD_FLAG("ascii", ascii), .section = "screen",
     .doc = "Draw with ASCII characters only, whatever the locale says."},
    {CMD_WORD("theme", theme_name, "NAME"), .values = theme_value, .only = 1, .section = "screen",
     .doc = "Colours: {}. Without colours, or with NO_COLOR set: mono."},
    {CMD_WORD("reference", reference, "RUN|FILE|NAME|auto"), .values = underlay_value,
     .section = "screen",
     .doc = "Lay the curves of this run under one's own in every plot over steps, by share of the "
            "run: a run, its log, what ssltop export --format reference made of one, one that "
            "comes with the program ({}), or auto: the one for this data set, network and method. "
            "The key r does the same."},
    {0},
};
const struct option_row cmd_attach_options[] = {{CMD_RUNS}, {0}};

static const struct theme *theme_of(const struct wanted *s) // NULL: as the terminal asks
{
    return s->theme_name ? theme_find(s->theme_name) : NULL;
}

// --- the screen on a run ---

// What a person would type for this run: its name when it lies where runs are looked for, else its
// path.
static void name_of(const char *runs, const char *run_dir, char *name, size_t size)
{
    const char *base = strrchr(run_dir, '/');
    size_t n = base ? (size_t)(base - run_dir) : 0;
    int is_under = base && strlen(runs) == n && strncmp(runs, run_dir, n) == 0;
    char *a = realpath(runs, NULL), *b = base ? strndup(run_dir, n) : NULL;
    char *c = b ? realpath(b, NULL) : NULL;
    struct wanted usual = {0};
    const struct option_set set[] = {{cmd_attach_options, &usual, NULL}, {0}};
    char *d = option_defaults(set, NULL) == 0 ? realpath(usual.runs, NULL) : NULL;
    is_under = (is_under || (a && c && strcmp(a, c) == 0)) && c && d && strcmp(c, d) == 0;
    snprintf(name, size, "%s", is_under ? base + 1 : run_dir);
    free(a);
    free(b);
    free(c);
    free(d);
}

static int watch(const char *runs, const char *run_dir, const struct wanted *s,
                 const struct launch *l)
{
    struct error e = {""};
    struct source *source;
    struct viewer_result result;
    char name[4096];
    struct path log = path_of("%s/run.jsonl.zst", run_dir);
    name_of(runs, run_dir, name, sizeof name);
    if (source_live_open(run_dir, &source, &e))
        return cmd_complain(CMD_FAILED, &e);
    struct viewer_options o = {.name = name,
                               .child = l ? l->pid : 0,
                               .child_fd = l ? l->fd : -1,
                               .ascii = s->ascii,
                               .theme = theme_of(s),
                               .log = log.s,
                               .runs = runs,
                               .reference = s->reference};
    int rc = viewer_run(source, &o, &result, &e);
    source->klass->free(source);
    if (rc < 0)
        return cmd_complain(CMD_FAILED, &e);
    const char *const last_words[] = {result.text, result.hint};
    for (size_t i = 0; i < 2; i++) {
        char text[sizeof result.text];
        text_clean(text, sizeof text, last_words[i]);
        if (text[0])
            printf("ssltop: %s\n", text);
    }
    return rc;
}

// --- commands ---

static int on_terminal(void)
{
    return isatty(STDOUT_FILENO) && isatty(STDIN_FILENO);
}

// A terminal that can't show a screen gets lines, and is told so.
static int can_show(void)
{
    struct error e;
    if (!on_terminal() || terminal_suits(&e))
        return on_terminal();
    fprintf(stderr, "ssltop: %s: lines as with --headless\n", e.text);
    return 0;
}

// `instead`: what does without a screen.
static int must_show(const char *name, const char *instead, struct error *e)
{
    struct error why;
    if (!on_terminal())
        return error_set(e, "%s needs a terminal; %s", name, instead);
    return terminal_suits(&why) ? 0 : error_set(e, "%s; %s", why.text, instead);
}

// The lines of a headless training are a courtesy: it ends as it ended, whether or not somebody
// reads them.
static int train_headless(const struct options *o, const unsigned char *given, struct error *e)
{
    struct error lost;
    int rc = trainer_main(o, given, -1, e);
    if (!o->dry_run && !o->print_config && cmd_check_output(&lost) < 0) {
        text_add(lost.text, sizeof lost.text, "; the training did not depend on it");
        cmd_complain(rc, &lost);
    }
    return rc;
}

int cmd_train(int argc, char **argv)
{
    struct error e = {""};
    struct wanted s = {0};
    const struct option_set screen = {screen_option_table, &s, NULL};
    struct options o;
    unsigned char given[OPTIONS_MAX];
    int rc = options_parse(&o, &screen, argc, argv, given, &e);
    if (rc < 0) {
        rc = CMD_USAGE;
    } else if (rc == OPTION_HELP) {
        printf("usage: ssltop train [options]\n\n");
        option_help(cmd_find("train")->options, stdout, cmd_columns(80));
        rc = CMD_OK;
    } else if (o.headless || o.dry_run || o.print_config || trainer_rank() >= 0 || !can_show()) {
        rc = train_headless(&o, given, &e);
    } else if (s.reference && underlay_check(o.runs, s.reference, &e) < 0) {
        rc = CMD_FAILED;
    } else {
        struct launch l;
        rc = launch_trainer(&o, given, &l, &e);
        if (rc == 0) {
            rc = watch(o.runs, l.run_dir, &s, &l);
            int stayed = getpid() == 1 ? launch_stay(l.pid, stderr) : -1;
            rc = stayed >= 0 ? stayed : rc;
            close(l.fd);
        }
    }
    if (rc == CMD_USAGE)
        trainer_hush(&e);
    return cmd_complain(rc, &e);
}

int cmd_attach(int argc, char **argv)
{
    struct error e = {""};
    struct wanted s = {0};
    char path[4096];
    int rc = cmd_parse(&argc, argv, &s);
    if (rc >= 0)
        return rc;
    if (runs_find(s.runs, argc > 1 ? argv[1] : "", 1, path, sizeof path, &e))
        return cmd_complain(CMD_FAILED, &e);
    if ((s.reference && underlay_check(s.runs, s.reference, &e) < 0) ||
        must_show("attach", "scripts use: ssltop ctl, ssltop runs --json", &e))
        return cmd_complain(CMD_FAILED, &e);
    return watch(s.runs, path, &s, NULL);
}

// The runs of `argv` as names and paths of logs; -1 with a sentence.
static int find_logs(int n, char **argv, const char *runs, char (*path)[4200], const char **paths,
                     const char **names, struct error *e)
{
    for (int i = 0; i < n; i++) {
        if (cmd_find_log(runs, argv[i], path[i], sizeof path[i], e))
            return -1;
        paths[i] = path[i];
        names[i] = argv[i];
    }
    return 0;
}

// The newest run by the name of its folder.
static int find_newest_log(const char *runs, char path[4200], const char **paths,
                           const char **names, struct error *e)
{
    static char name[256];
    if (cmd_find_log(runs, "", path, 4200, e))
        return -1;
    const char *end = strrchr(path, '/'), *from = end;
    while (from > path && from[-1] != '/')
        from--;
    snprintf(name, sizeof name, "%.*s", (int)(end - from), from);
    paths[0] = path;
    names[0] = name;
    return 0;
}

int cmd_replay(int argc, char **argv)
{
    struct error e = {""};
    struct wanted s = {0};
    static char path[PLAYBACK_RUNS][4200];
    const char *paths[PLAYBACK_RUNS], *names[PLAYBACK_RUNS];
    struct playback *play = NULL;
    struct viewer_result result;
    int rc = cmd_parse(&argc, argv, &s);
    if (rc != CMD_GO_ON)
        return rc;
    int n = argc > 1 ? argc - 1 : 1;
    if (n > PLAYBACK_RUNS)
        return cmd_refuse("replay shows at most %d runs over each other", PLAYBACK_RUNS);
    if (argc > 1 ? find_logs(n, argv + 1, s.runs, path, paths, names, &e)
                 : find_newest_log(s.runs, path[0], paths, names, &e))
        return cmd_complain(CMD_FAILED, &e);
    if ((s.reference && underlay_check(s.runs, s.reference, &e) < 0) ||
        must_show("replay", "for other tools: ssltop export", &e))
        return cmd_complain(CMD_FAILED, &e);
    if (playback_open(paths, names, n, clock_seconds(), &play, &e))
        return cmd_complain(CMD_FAILED, &e);
    struct viewer_options o = {.name = names[0],
                               .child_fd = -1,
                               .ascii = s.ascii,
                               .theme = theme_of(&s),
                               .play = play,
                               .runs = s.runs,
                               .reference = s.reference};
    rc = viewer_run(NULL, &o, &result, &e);
    playback_free(play);
    if (rc < 0)
        return cmd_complain(CMD_FAILED, &e);
    char hint[sizeof result.hint];
    text_clean(hint, sizeof hint, result.hint);
    if (hint[0])
        fprintf(stderr, "ssltop: %s\n", hint);
    return rc;
}
