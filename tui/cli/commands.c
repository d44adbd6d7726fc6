// The command table and what each command does with its arguments. Only here and in main is
// anything printed.
#include "tui/cli/commands.h"

#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics/base/clock.h"
#include "metrics/base/path.h"
#include "metrics/log/record.h"
#include "train/wire/control.h"
#include "train/recorder/recorder.h"
#include "train/run/devices.h"
#include "train/options/options.h"
#include "train/run/runs.h"
#include "train/run/trainer.h"
#include "tui/cli/cmd.h"
#include "tui/model/format.h"
#include "tui/cli/launch.h"
#include "tui/draw/theme.h"
#include "tui/hands/terminal.h"
#include "tui/cli/viewer.h"

enum { ANSWER_MS = 120000 }; // an evaluation or a checkpoint may have to end first

// --- options of the screen and of the small commands ---

struct small { // what the commands without a training understand
    const char *runs, *theme_name;
    int ascii, json;
};

static int theme_value(int i, char *text, size_t size)
{
    return option_put(theme_table[i].name, text, size);
}

#define FLAG(n, f) .name = (n), .type = OPTION_FLAG, OPTION_FIELD(struct small, f)
const struct option_row screen_option_table[] = {
    {FLAG("ascii", ascii), .section = "screen",
     .doc = "Draw with ASCII characters only, whatever the locale says."},
    {.name = "theme",
     .type = OPTION_WORD,
     OPTION_FIELD(struct small, theme_name),
     .argument = "NAME",
     .values = theme_value,
     .only = 1,
     .section = "screen",
     .doc = "Colours: {}. Without colours, or with NO_COLOR set: mono."},
    {0},
};
static const struct option_row attach_options[] = {{OPTION_RUNS(struct small, OPTION_WORD)}, {0}};
static const struct option_row ctl_options[] = {
    {FLAG("json", json), .doc = "Print the whole answer, as the trainer gives it."},
    {OPTION_RUNS(struct small, OPTION_WORD)},
    {0},
};
static const struct option_row runs_options[] = {
    {FLAG("json", json), .doc = "One JSON object a run and line."},
    {OPTION_RUNS(struct small, OPTION_WORD)},
    {0},
};
static const struct option_row devices_options[] = {
    {FLAG("json", json), .doc = "One JSON object a device and line."},
    {0},
};

static const struct theme *theme_of(const struct small *s) // NULL: as the terminal asks
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
    struct small usual = {0};
    const struct option_set set[] = {{attach_options, &usual, NULL}, {0}};
    char *d = option_defaults(set, NULL) == 0 ? realpath(usual.runs, NULL) : NULL;
    is_under = (is_under || (a && c && strcmp(a, c) == 0)) && c && d && strcmp(c, d) == 0;
    snprintf(name, size, "%s", is_under ? base + 1 : run_dir);
    free(a);
    free(b);
    free(c);
    free(d);
}

static int watch(const char *runs, const char *run_dir, const struct small *s,
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
                               .log = log.s};
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
        snprintf(lost.text + strlen(lost.text), sizeof lost.text - strlen(lost.text),
                 "; the training did not depend on it");
        cmd_complain(rc, &lost);
    }
    return rc;
}

static int run_train(int argc, char **argv)
{
    struct error e = {""};
    struct small s = {0};
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
    if (trainer_rank() > 0 && rc == CMD_USAGE) // each of them would say it
        e.text[0] = '\0';
    return cmd_complain(rc, &e);
}

static int run_attach(int argc, char **argv)
{
    struct error e = {""};
    struct small s = {0};
    char path[4096];
    int rc = cmd_parse(&argc, argv, &s);
    if (rc >= 0)
        return rc;
    if (runs_find(s.runs, argc > 1 ? argv[1] : "", 1, path, sizeof path, &e))
        return cmd_complain(CMD_FAILED, &e);
    if (must_show("attach", "scripts use: ssltop ctl, ssltop runs --json", &e))
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

static int run_replay(int argc, char **argv)
{
    struct error e = {""};
    struct small s = {0};
    static char path[PLAYBACK_RUNS][4200];
    const char *paths[PLAYBACK_RUNS], *names[PLAYBACK_RUNS];
    struct playback *play = NULL;
    struct viewer_result result;
    int rc = cmd_parse(&argc, argv, &s);
    if (rc != CMD_GO_ON)
        return rc;
    int n = argc > 1 ? argc - 1 : 1;
    if (n > PLAYBACK_RUNS) {
        error_set(&e, "replay shows at most %d runs over each other", PLAYBACK_RUNS);
        return cmd_complain(CMD_USAGE, &e);
    }
    if (argc > 1 ? find_logs(n, argv + 1, s.runs, path, paths, names, &e)
                 : find_newest_log(s.runs, path[0], paths, names, &e))
        return cmd_complain(CMD_FAILED, &e);
    if (must_show("replay", "for other tools: ssltop export", &e))
        return cmd_complain(CMD_FAILED, &e);
    if (playback_open(paths, names, n, clock_seconds(), &play, &e))
        return cmd_complain(CMD_FAILED, &e);
    struct viewer_options o = {
        .name = names[0], .child_fd = -1, .ascii = s.ascii, .theme = theme_of(&s), .play = play};
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

static int run_ctl(int argc, char **argv)
{
    struct error e = {""};
    struct small s = {0};
    struct command_call call = {0};
    struct answer answer;
    char path[4096], text[512] = "";
    int rc = cmd_parse(&argc, argv, &s);
    if (rc >= 0)
        return rc;
    for (int i = 2; i < argc; i++) {
        size_t n = strlen(text);
        if (snprintf(text + n, sizeof text - n, "%s%s", n ? " " : "", argv[i]) >=
            (int)(sizeof text - n)) {
            error_set(&e, "the command is too long");
            return cmd_complain(CMD_USAGE, &e);
        }
    }
    if (command_parse_text(text, &call, &e))
        return cmd_complain(CMD_USAGE, &e);
    if (call.command == COMMAND_WATCH) {
        error_set(&e, "watch is for programs: connect to the socket, or use ssltop attach");
        return cmd_complain(CMD_USAGE, &e);
    }
    snprintf(call.by, sizeof call.by, "ctl");
    call.id = 1;
    if (runs_find(s.runs, argv[1], 1, path, sizeof path, &e))
        return cmd_complain(CMD_FAILED, &e);
    int fd = control_connect(path, CONTROL_PATIENCE_MS, &e);
    if (fd < 0)
        return cmd_complain(CMD_FAILED, &e);
    rc = control_call(fd, &call, ANSWER_MS, &answer, &e);
    close(fd);
    if (rc < 0)
        return cmd_complain(CMD_FAILED, &e);
    if (s.json) {
        char *line = answer_to_json(&answer);
        if (line)
            puts(line);
        free(line);
    } else {
        char clean[sizeof answer.text];
        text_clean(clean, sizeof clean, answer.text);
        fprintf(answer.ok ? stdout : stderr, "%s%s\n", answer.ok ? "" : "ssltop: ", clean);
    }
    return answer.ok ? CMD_OK : CMD_FAILED;
}

static int print_run(const struct runs_info *r, int json)
{
    char name[256], dataset[256], arch[64], path[sizeof r->path];
    text_clean(name, sizeof name, r->name);
    text_clean(dataset, sizeof dataset, r->dataset);
    text_clean(arch, sizeof arch, r->arch);
    text_clean(path, sizeof path, r->path);
    if (!json)
        return printf("%-32s %-9s %10s / %-10s  %s  %s x%d\n", name, r->state,
                      format_count(r->step + 1).s, format_count(r->steps).s, dataset, arch,
                      r->width);
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:I, s:I, s:b, s:s}", "name", name,
                          "path", path, "created", r->created, "dataset", dataset, "arch", arch,
                          "width", r->width, "step", (json_int_t)r->step, "steps",
                          (json_int_t)r->steps, "alive", r->alive, "state", r->state);
    int rc = o && json_dumpf(o, stdout, JSON_COMPACT) == 0 ? putchar('\n') : -1;
    json_decref(o);
    return rc;
}

static int run_runs(int argc, char **argv)
{
    struct error e = {""};
    struct small s = {0};
    struct runs_info *runs = NULL;
    int n = 0, rc = cmd_parse(&argc, argv, &s);
    if (rc >= 0)
        return rc;
    if (runs_list(s.runs, &runs, &n, &e))
        return cmd_complain(CMD_FAILED, &e);
    rc = CMD_OK;
    for (int i = 0; i < n && rc == CMD_OK; i++)
        if (print_run(&runs[i], s.json) < 0)
            rc = CMD_FAILED;
    if (!n && !s.json && isatty(STDOUT_FILENO)) {
        char folder[512];
        text_clean(folder, sizeof folder, s.runs);
        printf("no runs in %s\n", folder);
    }
    free(runs);
    return rc;
}

static int run_devices(int argc, char **argv)
{
    struct error e = {""};
    struct small s = {0};
    int rc = cmd_parse(&argc, argv, &s);
    if (rc >= 0)
        return rc;
    return cmd_complain(devices_print(stdout, s.json, &e) ? CMD_FAILED : CMD_OK, &e);
}

// What a client in somebody else's training starts: the other end is descriptor 3.
static int run_record(int argc, char **argv)
{
    struct error e = {""};
    struct small s = {0};
    int rc = cmd_parse(&argc, argv, &s);
    if (rc >= 0)
        return rc;
    // What the training had open (sockets of its ranks, say) is not ours to keep open after it.
    close_range(RECORDER_FD + 1, ~0u, 0);
    rc = recorder_main(RECORDER_FD, s.runs, &e);
    return rc && *e.text ? cmd_complain(CMD_FAILED, &e) : rc;
}

static int run_help(int argc, char **argv)
{
    enum { COLUMN = 34 }; // of what a command does
    printf("ssltop: watch a self-supervised training, and whether it collapses, live in a "
           "terminal\n\n");
    for (const struct command_line_row *c = command_line_table; c->name; c++) {
        int n = printf("  ssltop %s %s", c->name, c->usage);
        printf("%s%*s%s\n", n > COLUMN - 2 ? "\n" : "", n > COLUMN - 2 ? COLUMN : COLUMN - n, "",
               c->doc);
    }
    printf("\nWithout a command: train. ssltop COMMAND --help says more, man ssltop all.\n");
    return CMD_OK;
}

const struct command_line_row command_line_table[] = {
    {"train", "[options]", "train and watch", run_train, {options_table, screen_option_table}},
    {"attach",
     "[RUN]",
     "watch and steer a running training (the newest by default)",
     run_attach,
     {attach_options, screen_option_table}},
    {"replay",
     "[RUN|FILE ...]",
     "the same screen from a log (of the newest run by default): play, stop, seek; the curves of "
     "several over each other",
     run_replay,
     {attach_options, screen_option_table}},
    {"ctl", "RUN COMMAND ...", "steer a running training from a script", run_ctl, {ctl_options}},
    {"metrics",
     "FILE ... [options]",
     "spectrum and all metrics of saved features (rows x features)",
     cmd_metrics,
     {cmd_metrics_options}},
    {"embed",
     "CKPT|RUN --data SET -o FILE.npy [options]",
     "features of a data set, and their labels",
     cmd_embed,
     {cmd_embed_options}},
    {"probe",
     "CKPT|RUN [options]",
     "linear probe, fast probe and nearest neighbours",
     cmd_probe,
     {cmd_probe_options}},
    {"fit",
     "RUN ... -o FILE.json [options]",
     "fit a forecast from runs with measured probe accuracy",
     cmd_fit,
     {cmd_fit_options}},
    {"pack",
     "images:DIR -o FILE [options]",
     "decode and shrink a folder of images once, into a file to train from",
     cmd_pack,
     {cmd_pack_options}},
    {"export",
     "RUN|FILE [options]",
     "what a run recorded as a table or a figure",
     cmd_export,
     {cmd_export_options}},
    {"log",
     "check|repair RUN|FILE [options]",
     "say what a log holds and whether it is whole; make a whole one of what is left",
     cmd_log,
     {cmd_log_options}},
    {"runs", "[--json]", "list the runs", run_runs, {runs_options}},
    {"devices", "[--json]", "list what can compute here", run_devices, {devices_options}},
    {"record",
     "[options]",
     "record and steer somebody else's training; its client starts this, not a person",
     run_record,
     {attach_options}},
    {"completion",
     "bash|zsh|fish",
     "print what this shell needs to complete words of ssltop",
     cmd_completion,
     {NULL}},
    {"help", "", "this list", run_help, {NULL}},
    {.name = NULL},
};

static int dispatch(int argc, char **argv)
{
    if (argc > 1 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
        printf("ssltop %s\n", SSLTOP_VERSION);
        return CMD_OK;
    }
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        return run_help(argc, argv);
    if (argc < 2 || argv[1][0] == '-')
        return run_train(argc, argv);
    const struct command_line_row *c = cmd_find(argv[1]);
    if (c)
        return c->run(argc - 1, argv + 1);
    struct error e;
    error_set(&e, "there is no command '%.60s'; see ssltop --help", argv[1]);
    return cmd_complain(CMD_USAGE, &e);
}

int commands_main(int argc, char **argv)
{
    struct error e;
    int rc = dispatch(argc, argv);
    if (cmd_check_output(&e) < 0)
        return cmd_complain(rc ? rc : CMD_FAILED, &e);
    return rc;
}
