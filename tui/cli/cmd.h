// What the commands without a screen share: their options as rows, their complaints.
#ifndef SSLTOP_TUI_CLI_CMD_H
#define SSLTOP_TUI_CLI_CMD_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "metrics/base/error.h"

enum { CMD_OK = 0, CMD_FAILED = 1, CMD_USAGE = 2, CMD_GO_ON = -1 };

// --NAME, or -N for a name of one letter. Where it goes is an offset in a struct of the command's
// own, so that the rows are constant and completion and manual can be made from them.
struct cmd_option {
    const char *name, *argument; // argument NULL: a flag
    const char *doc;
    size_t offset;      // of an int (flag) or a const char * (value)
    const char *values; // what a shell offers: "train|test", CMD_A_FILE, ...; NULL: nothing
};
#define CMD_A_FILE   "<file>"
#define CMD_A_FOLDER "<folder>"
#define CMD_A_RUN    "<run>"
#define CMD_A_CALL   "<call>" // what ctl sends

// Take options (a NULL name ends them) out of argv into the struct at `into`; words stay in order,
// argc is lowered. --help prints usage and rows. CMD_GO_ON, or the exit code after a complaint:
// unknown options, fewer than `least` or more than `most` words.
int cmd_parse(int *argc, char **argv, const struct cmd_option *option, void *into, int least,
              int most);

// Take only these options out, up to a "--", and leave all else where it is. -1 with a sentence.
int cmd_take(int *argc, char **argv, const struct cmd_option *option, void *into, struct error *e);

// The folder of runs when nobody says: $SSLTOP_RUNS, else ./runs.
const char *cmd_runs(void);
#define CMD_RUNS(type)                                                                             \
    {                                                                                              \
        "runs", "DIR", "Where run folders are.", offsetof(type, runs), CMD_A_FOLDER                \
    }

// Print the sentence to stderr, clean; returns `code`.
int cmd_complain(int code, const struct error *e);

// What was passed over, and images that turned out to be broken, a line each on stderr.
struct dataset;
void cmd_name_broken(const struct dataset *d);

// The number behind --NAME, from 1 to `most`, or 0 where there is none (text NULL), into *number;
// and that behind --threads. CMD_GO_ON, or CMD_USAGE after a complaint.
int cmd_count(const char *name, const char *text, int64_t most, int64_t *number);
int cmd_threads(const char *text, int *threads);

// The path of a log: that of the file, or of the run's that this names.
int cmd_find_log(const char *runs, const char *word, char *path, size_t size, struct error *e);

// A number that does not exist is null.
json_t *cmd_number(double v);
// One object a line on stdout; takes the reference. CMD_OK or CMD_FAILED.
int cmd_print_json(json_t *object);

// The commands, for the table in commands.c, and their options.
int cmd_metrics(int argc, char **argv);
int cmd_embed(int argc, char **argv);
int cmd_probe(int argc, char **argv);
int cmd_fit(int argc, char **argv);
int cmd_pack(int argc, char **argv);
int cmd_log(int argc, char **argv);
int cmd_export(int argc, char **argv);
int cmd_completion(int argc, char **argv);
extern const struct cmd_option cmd_metrics_options[], cmd_embed_options[], cmd_probe_options[],
    cmd_fit_options[], cmd_pack_options[], cmd_log_options[], cmd_export_options[];

#endif
