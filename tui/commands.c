// The command table and what each command does with its arguments. Only here and in main is
// anything printed.
#include "tui/commands.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "metrics/record.h"
#include "train/control.h"
#include "train/devices.h"
#include "train/options.h"
#include "train/trainer.h"
#include "tui/cmd.h"
#include "tui/format.h"
#include "tui/launch.h"
#include "tui/theme.h"
#include "tui/viewer.h"

enum { OK = 0, FAILED = 1, USAGE = 2 };
enum { ANSWER_MS = 120000 }; // an evaluation or a checkpoint may have to end first

static int complain(int code, const struct error *e)
{
    char text[sizeof e->text];
    text_clean(text, sizeof text, e->text);
    if (text[0])
        fprintf(stderr, "ssltop: %s\n", text);
    return code;
}

static int columns_of_terminal(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 40 ? size.ws_col : 80;
}

// --- options of the screen and of the small commands ---

const struct screen_option_row screen_option_table[] = {
    {"ascii", NULL, "Draw with ASCII characters only, whatever the locale says."},
    {"theme", "NAME",
     "Colours: default, mono, colour-blind or light. Without colours, or with NO_COLOR set: mono."},
    {NULL, NULL, NULL},
};

struct small { // what the commands without a training understand
    const char *runs;
    int ascii, json, help;
    const struct theme *theme;
};

static int take_theme(struct small *s, const char *name, struct error *e)
{
    s->theme = theme_find(name);
    if (s->theme)
        return 0;
    error_set(e, "there is no theme '%.60s': default, mono, colour-blind, light", name);
    return -1;
}

// Is argv[i] --NAME, --NAME=VALUE, or --NAME followed by its value? Its value in *value; how many
// words it takes, 0 if it is not.
static int match(int argc, char **argv, int i, const char *name, const char **value)
{
    size_t n = strlen(name);
    if (strncmp(argv[i], "--", 2) != 0 || strncmp(argv[i] + 2, name, n) != 0)
        return 0;
    if (argv[i][2 + n] == '=') {
        *value = argv[i] + 3 + n;
        return 1;
    }
    if (argv[i][2 + n])
        return 0;
    *value = i + 1 < argc ? argv[i + 1] : NULL;
    return *value ? 2 : -1;
}

// Take the options of the screen out of argv (before they reach the training's own parser), or all
// small ones. Words that are not options stay in order; argc is lowered.
static int take_small(int *argc, char **argv, int screen_only, struct small *s, struct error *e)
{
    const char *from_env = getenv("SSLTOP_RUNS");
    *s = (struct small){.runs = from_env && *from_env ? from_env : "./runs"};
    int kept = 1, i = 1;
    for (; i < *argc; i++) {
        const char *value = NULL;
        int words;
        if (strcmp(argv[i], "--") == 0)
            break;
        if (strcmp(argv[i], "--ascii") == 0) {
            s->ascii = 1;
        } else if ((words = match(*argc, argv, i, "theme", &value))) {
            if (words < 0 || take_theme(s, value, e))
                return words < 0 ? error_set(e, "--theme needs a name") : -1;
            i += words - 1;
        } else if (!screen_only && strcmp(argv[i], "--json") == 0) {
            s->json = 1;
        } else if (!screen_only && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
            s->help = 1;
        } else if (!screen_only && (words = match(*argc, argv, i, "runs", &value))) {
            if (words < 0)
                return error_set(e, "--runs needs a folder");
            s->runs = value;
            i += words - 1;
        } else if (!screen_only && argv[i][0] == '-' && argv[i][1]) {
            return error_set(e, "unknown option %.60s", argv[i]);
        } else {
            argv[kept++] = argv[i];
        }
    }
    if (i < *argc && !screen_only)
        i++; // the "--" itself
    for (; i < *argc; i++)
        argv[kept++] = argv[i];
    argv[kept] = NULL;
    *argc = kept;
    return 0;
}

static int help_of(const char *name)
{
    for (const struct command_line_row *c = command_line_table; c->name; c++)
        if (strcmp(c->name, name) == 0)
            printf("usage: ssltop %s %s\n\n%s\n", c->name, c->usage, c->doc);
    return OK;
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
    const char *usual = getenv("SSLTOP_RUNS");
    char *d = realpath(usual && *usual ? usual : "./runs", NULL);
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
    name_of(runs, run_dir, name, sizeof name);
    if (source_live_open(run_dir, &source, &e))
        return complain(FAILED, &e);
    struct viewer_options o = {.name = name,
                               .child = l ? l->pid : 0,
                               .child_fd = l ? l->fd : -1,
                               .ascii = s->ascii,
                               .theme = s->theme};
    int rc = viewer_run(source, &o, &result, &e);
    source->klass->free(source);
    if (rc < 0)
        return complain(FAILED, &e);
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

static int run_train(int argc, char **argv)
{
    struct error e = {""};
    struct small s;
    struct options *o = calloc(1, sizeof *o);
    unsigned char *given = calloc(option_count, 1);
    int rc = USAGE;
    if (!o || !given) {
        error_set(&e, "out of memory");
        rc = FAILED;
    } else if (take_small(&argc, argv, 1, &s, &e) ||
               (options_default(o), options_parse(o, argc, argv, given, &e))) {
        rc = USAGE;
    } else if (o->help) {
        printf("usage: ssltop train [options]\n\n");
        options_help(stdout, columns_of_terminal());
        printf("\nscreen:\n");
        for (const struct screen_option_row *r = screen_option_table; r->name; r++)
            printf("  --%s%s%s\n        %s\n", r->name, r->argument ? " " : "",
                   r->argument ? r->argument : "", r->doc);
        rc = OK;
    } else if (o->headless || o->dry_run || o->print_config || !isatty(STDOUT_FILENO) ||
               !isatty(STDIN_FILENO)) {
        rc = trainer_main(o, given, -1, &e);
    } else {
        struct launch l;
        rc = launch_trainer(o, given, stderr, &l, &e);
        if (rc == 0) {
            rc = watch(o->runs, l.run_dir, &s, &l);
            close(l.fd);
        }
    }
    free(o);
    free(given);
    return complain(rc, &e);
}

// Parse the small options and at most `most` words; -1 = go on, else the exit code.
static int begin(int *argc, char **argv, int least, int most, struct small *s)
{
    struct error e = {""};
    if (take_small(argc, argv, 0, s, &e))
        return complain(USAGE, &e);
    if (s->help)
        return help_of(argv[0]);
    if (*argc - 1 < least)
        error_set(&e, "%s needs more words; see ssltop %s --help", argv[0], argv[0]);
    else if (*argc - 1 > most)
        error_set(&e, "%s: '%.60s' is one word too many", argv[0], argv[most + 1]);
    return e.text[0] ? complain(USAGE, &e) : -1;
}

static int run_attach(int argc, char **argv)
{
    struct error e = {""};
    struct small s;
    char path[4096];
    int rc = begin(&argc, argv, 0, 1, &s);
    if (rc >= 0)
        return rc;
    if (run_find(s.runs, argc > 1 ? argv[1] : "", 1, path, sizeof path, &e))
        return complain(FAILED, &e);
    if (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO)) {
        error_set(&e, "attach needs a terminal; scripts use: ssltop ctl, ssltop runs --json");
        return complain(FAILED, &e);
    }
    return watch(s.runs, path, &s, NULL);
}

static int run_ctl(int argc, char **argv)
{
    struct error e = {""};
    struct small s;
    struct command_call call = {0};
    struct answer answer;
    char path[4096], text[512] = "";
    int rc = begin(&argc, argv, 2, 12, &s);
    if (rc >= 0)
        return rc;
    for (int i = 2; i < argc; i++) {
        size_t n = strlen(text);
        if (snprintf(text + n, sizeof text - n, "%s%s", n ? " " : "", argv[i]) >=
            (int)(sizeof text - n)) {
            error_set(&e, "the command is too long");
            return complain(USAGE, &e);
        }
    }
    if (command_parse_text(text, &call, &e))
        return complain(USAGE, &e);
    if (call.command == COMMAND_WATCH) {
        error_set(&e, "watch is for programs: connect to the socket, or use ssltop attach");
        return complain(USAGE, &e);
    }
    snprintf(call.by, sizeof call.by, "ctl");
    call.id = 1;
    if (run_find(s.runs, argv[1], 1, path, sizeof path, &e))
        return complain(FAILED, &e);
    int fd = control_connect(path, &e);
    if (fd < 0)
        return complain(FAILED, &e);
    rc = control_call(fd, &call, ANSWER_MS, &answer, &e);
    close(fd);
    if (rc < 0)
        return complain(FAILED, &e);
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
    return answer.ok ? OK : FAILED;
}

static int print_run(const struct run_info *r, int json)
{
    char name[256], dataset[256], arch[64];
    text_clean(name, sizeof name, r->name);
    text_clean(dataset, sizeof dataset, r->dataset);
    text_clean(arch, sizeof arch, r->arch);
    if (!json)
        return printf("%-32s %-9s %10s / %-10s  %s  %s x%d\n", name, r->state,
                      format_count(r->step + 1).s, format_count(r->steps).s, dataset, arch,
                      r->width);
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:I, s:I, s:b, s:s}", "name", name,
                          "path", r->path, "created", r->created, "dataset", dataset, "arch", arch,
                          "width", r->width, "step", (json_int_t)r->step, "steps",
                          (json_int_t)r->steps, "alive", r->alive, "state", r->state);
    int rc = o && json_dumpf(o, stdout, JSON_COMPACT) == 0 ? putchar('\n') : -1;
    json_decref(o);
    return rc;
}

static int run_runs(int argc, char **argv)
{
    struct error e = {""};
    struct small s;
    struct run_info *runs = NULL;
    int n = 0, rc = begin(&argc, argv, 0, 0, &s);
    if (rc >= 0)
        return rc;
    if (run_list(s.runs, &runs, &n, &e))
        return complain(FAILED, &e);
    rc = OK;
    for (int i = 0; i < n && rc == OK; i++)
        if (print_run(&runs[i], s.json) < 0)
            rc = FAILED;
    if (!n && !s.json && isatty(STDOUT_FILENO))
        printf("no runs in %s\n", s.runs);
    free(runs);
    return rc;
}

static int run_devices(int argc, char **argv)
{
    struct error e = {""};
    struct small s;
    int rc = begin(&argc, argv, 0, 0, &s);
    if (rc >= 0)
        return rc;
    return complain(devices_print(stdout, s.json, &e) ? FAILED : OK, &e);
}

static int run_help(int argc, char **argv)
{
    printf("ssltop: watch a self-supervised training, and whether it collapses, live in a "
           "terminal\n\n");
    for (const struct command_line_row *c = command_line_table; c->name; c++)
        printf("  ssltop %s %-*s %s\n", c->name, (int)(26 - strlen(c->name)), c->usage, c->doc);
    printf("\nWithout a command: train. ssltop COMMAND --help says more, man ssltop all.\n");
    return OK;
}

const struct command_line_row command_line_table[] = {
    {"train", "[options]", "train and watch", run_train},
    {"attach", "[RUN]", "watch and steer a running training (the newest by default)", run_attach},
    {"ctl", "RUN COMMAND ...", "steer a running training from a script (--json: the whole answer)",
     run_ctl},
    {"metrics", "FILE.npy ... [options]",
     "spectrum and all metrics of saved features (rows x features)", cmd_metrics},
    {"embed", "CKPT|RUN --data SET -o FILE.npy [options]",
     "features of a data set, and their labels", cmd_embed},
    {"probe", "CKPT|RUN [options]", "linear probe, fast probe and nearest neighbours", cmd_probe},
    {"fit", "RUN ... -o FILE.json [options]",
     "fit a forecast from runs with measured probe accuracy", cmd_fit},
    {"pack", "images:DIR -o FILE [--size N]",
     "decode and shrink a folder of images once, into a file to train from", cmd_pack},
    {"runs", "[--json]", "list the runs", run_runs},
    {"devices", "[--json]", "list what can compute here", run_devices},
    {"help", "", "this list", run_help},
    {NULL, NULL, NULL, NULL},
};

static int dispatch(int argc, char **argv)
{
    if (argc > 1 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
        printf("ssltop %s\n", SSLTOP_VERSION);
        return OK;
    }
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        return run_help(argc, argv);
    if (argc < 2 || argv[1][0] == '-')
        return run_train(argc, argv);
    for (const struct command_line_row *c = command_line_table; c->name; c++)
        if (strcmp(c->name, argv[1]) == 0)
            return c->run(argc - 1, argv + 1);
    struct error e;
    error_set(&e, "there is no command '%.60s'; see ssltop --help", argv[1]);
    return complain(USAGE, &e);
}

int commands_main(int argc, char **argv)
{
    int rc = dispatch(argc, argv);
    if (fflush(stdout) || ferror(stdout)) {
        struct error e;
        error_set(&e, "can't write to standard output: %s", strerror(errno));
        return complain(rc ? rc : FAILED, &e);
    }
    return rc;
}
