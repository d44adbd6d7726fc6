// The command table and what each command does with its arguments. Only here and in main is
// anything printed.
#include "tui/cli/commands.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics/base/text.h"
#include "metrics/log/record.h"
#include "train/wire/control.h"
#include "train/recorder/recorder.h"
#include "train/run/devices.h"
#include "train/options/options.h"
#include "train/run/runs.h"
#include "tui/cli/cmd.h"
#include "tui/draw/canvas.h"
#include "tui/model/format.h"

enum { ANSWER_MS = 120000 }; // an evaluation or a checkpoint may have to end first

// --- options of the small commands ---

struct wanted {
    const char *runs;
    int json;
};

static const struct option_row ctl_options[] = {
    {CMD_FLAG("json", json), .doc = "Print the whole answer, as the trainer gives it."},
    {CMD_RUNS},
    {0},
};
static const struct option_row runs_options[] = {
    {CMD_FLAG("json", json), .doc = "One JSON object a run and line."},
    {CMD_RUNS},
    {0},
};
static const struct option_row devices_options[] = {
    {CMD_FLAG("json", json), .doc = "One JSON object a device and line."},
    {0},
};

static const struct option_row record_options[] = {{CMD_RUNS}, {0}};

// --- commands ---

static int run_ctl(int argc, char **argv)
{
    struct error e = {""};
    struct wanted s = {0};
    struct command_call call = {0};
    struct answer answer;
    char path[4096], text[512] = "";
    int rc = cmd_parse(&argc, argv, &s);
    if (rc >= 0)
        return rc;
    for (int i = 2; i < argc; i++)
        if (text_item(text, sizeof text, " ", "%s", argv[i]) < 0)
            return cmd_refuse("the command is too long");
    if (command_parse_text(text, &call, &e))
        return cmd_complain(CMD_USAGE, &e);
    if (call.command == COMMAND_WATCH)
        return cmd_refuse("watch is for programs: connect to the socket, or use ssltop attach");

    snprintf(call.by, sizeof call.by, "ctl");
    call.id = 1;
    if (runs_find(s.runs, argv[1], 1, path, sizeof path, &e))
        return cmd_complain(CMD_FAILED, &e);
    int fd = control_connect(path, CONTROL_PATIENCE_MS, &e);
    if (fd < 0)
        return cmd_complain(CMD_FAILED, &e);
    pid_t stopped = control_stopped(fd);
    if (stopped)
        fprintf(
            stderr,
            "ssltop: the trainer (process %d) is stopped by a signal; kill -CONT %d lets it go on. "
            "Waiting for its answer\n",
            (int)stopped, (int)stopped);
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

// A line of the list. What a training of somebody else's did not tell is left out.
static int print_line(const struct runs_info *r, const char *name, int columns, const char *dataset,
                      const char *arch)
{
    char network[96] = "";
    int pad = columns - text_columns(name);
    if (*arch)
        snprintf(network, sizeof network, r->width > 0 ? "  %s x%d" : "  %s", arch, r->width);
    return printf("%s%*s  %-9s %10s %s %-10s  %s%s\n", name, pad > 0 ? pad : 0, "", r->state,
                  format_count(r->step + 1).s, r->steps > 0 ? "/" : " ",
                  r->steps > 0 ? format_count(r->steps).s : "", dataset, network);
}

// `columns`: of the longest name, as far as that is not too much.
static int print_run(const struct runs_info *r, int columns, int json)
{
    char name[256], dataset[256], arch[64], path[sizeof r->path];
    text_clean(name, sizeof name, r->name);
    text_clean(dataset, sizeof dataset, r->dataset);
    text_clean(arch, sizeof arch, r->arch);
    text_clean(path, sizeof path, r->path);
    if (!json)
        return print_line(r, name, columns, dataset, arch);
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
    struct wanted s = {0};
    struct runs_info *runs = NULL;
    int n = 0, rc = cmd_parse(&argc, argv, &s);
    if (rc >= 0)
        return rc;
    if (runs_list(s.runs, &runs, &n, &e))
        return cmd_complain(CMD_FAILED, &e);
    rc = CMD_OK;
    int columns = 0;
    for (int i = 0; i < n; i++) {
        int name = text_columns(runs[i].name);
        columns = name > columns ? name < 32 ? name : 32 : columns;
    }
    for (int i = 0; i < n && rc == CMD_OK; i++)
        if (print_run(&runs[i], columns, s.json) < 0)
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
    struct wanted s = {0};
    int rc = cmd_parse(&argc, argv, &s);
    if (rc >= 0)
        return rc;
    return cmd_complain(devices_print(stdout, s.json, &e) ? CMD_FAILED : CMD_OK, &e);
}

// What a client in somebody else's training starts: the other end is descriptor 3.
static int run_record(int argc, char **argv)
{
    struct error e = {""};
    struct wanted s = {0};
    int rc = cmd_parse(&argc, argv, &s);
    if (rc >= 0)
        return rc;
    // What the training had open (sockets of its ranks, say) is not ours to keep open after it.
    close_range(RECORDER_FD + 1, ~0u, 0);
    int works;
    rc = recorder_main(RECORDER_FD, s.runs, &works, &e);
    if (rc && *e.text)
        rc = cmd_complain(CMD_FAILED, &e);
    if (works)
        _exit(rc);
    return rc;
}

static int run_help(int argc, char **argv)
{
    enum { COLUMN = 34 }; // of what a command does
    const struct command_line_row *of = argc > 1 ? cmd_find(argv[1]) : NULL;
    if (of && of->run != run_help) { // help COMMAND
        char *ask[] = {argv[1], "--help", NULL};
        return of->run(2, ask);
    }
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
    {"train", "[options]", "train and watch", cmd_train, {options_table, screen_option_table}},
    {"attach",
     "[RUN]",
     "watch and steer a running training (the newest by default)",
     cmd_attach,
     {cmd_attach_options, screen_option_table}},
    {"replay",
     "[RUN|FILE ...]",
     "the same screen from a log (of the newest run by default): play, stop, seek; the curves of "
     "several over each other",
     cmd_replay,
     {cmd_attach_options, screen_option_table}},
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
     "RUN|POINTS.jsonl ... -o FILE.json [options]",
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
     {record_options}},
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
        return cmd_train(argc, argv);
    const struct command_line_row *c = cmd_find(argv[1]);
    if (c)
        return c->run(argc - 1, argv + 1);
    return cmd_refuse("there is no command '%.60s'; see ssltop --help", argv[1]);
}

int commands_main(int argc, char **argv)
{
    struct error e;
    int rc = dispatch(argc, argv);
    if (cmd_check_output(&e) < 0)
        return cmd_complain(rc ? rc : CMD_FAILED, &e);
    return rc;
}
