// What the commands without a screen share: taking their words and options, their complaints.
#ifndef SSLTOP_TUI_CLI_CMD_H
#define SSLTOP_TUI_CLI_CMD_H

#include <jansson.h>
#include <stddef.h>

#include "metrics/base/error.h"
#include "train/options/option.h"

enum { CMD_OK = 0, CMD_FAILED = 1, CMD_USAGE = 2, CMD_GO_ON = -1 };

// A command is a row.
enum { COMMAND_LINE_TABLES = 2 };
struct command_line_row {
    const char *name;
    const char *usage;                 // behind the name: its words, and that there are options
    const char *doc;                   // one line
    int (*run)(int argc, char **argv); // argv[0] is the command; the exit code
    const struct option_row *options[COMMAND_LINE_TABLES + 1]; // tables; NULL ends them
};
extern const struct command_line_row command_line_table[]; // commands.c; ends with a NULL name
const struct command_line_row *cmd_find(const char *name); // or NULL

// Take the options of command argv[0] out of argv into the struct at `into`; its words stay in
// order, argc is lowered. --help prints usage and options. CMD_GO_ON, or the exit code after a
// complaint: unknown options, fewer or more words than the usage has.
int cmd_parse(int *argc, char **argv, void *into);

// Rows about field f of a command's own `struct wanted`.
#define CMD_ROW(n, t, f)  .name = (n), .type = (t), OPTION_FIELD(struct wanted, f)
#define CMD_FLAG(n, f)    CMD_ROW(n, OPTION_FLAG, f)
#define CMD_WORD(n, f, a) CMD_ROW(n, OPTION_WORD, f), .argument = (a)
#define CMD_RUNS          OPTION_RUNS(struct wanted, OPTION_WORD)
// What one who calculates with the network of a checkpoint can say of both, and of what computes.
#define CMD_CHECKPOINT                                                                             \
    CMD_WORD("checkpoint", checkpoint, "WHICH"),                                                   \
        .fallback = "last", .check = embed_check_which,                                            \
        .doc = "Of a run: the last one, the best (the evaluation with the best probe so far, or "  \
               "the best forecast where none is measured), or that of a step."
#define CMD_DATA                                                                                   \
    CMD_WORD("data", data, "SET"),                                                                 \
        .values = options_dataset,                                                                 \
        .doc = "The data set. The default is the one that was trained on."
#define CMD_DEVICE                                                                                 \
    CMD_WORD("device", device, "DEVICE"), .doc = "What computes. The default is what trained."
#define CMD_THREADS                                                                                \
    OPTION_THREADS(struct wanted, 4096),                                                           \
        .doc = "Threads that compute. auto: all this process may use."

// The words of a usage, "RUN|FILE ... [options]": up to its options, without brackets.
struct cmd_words {
    char word[4][40];
    int n, least, repeats; // of which `least` must be there, and the last may come again
};
void cmd_words(const char *usage, struct cmd_words *out);

// Columns of the terminal that stdout is, at least 40; `otherwise` where it is none or too narrow.
int cmd_columns(int otherwise);

// Print the sentence to stderr, clean; returns `code`.
int cmd_complain(int code, const struct error *e);
// The same of a sentence that is made here; returns CMD_USAGE.
int cmd_refuse(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

// -1: what was printed so far is not on standard output, with the reason where it is known: output
// that failed before the last of it does not leave one. It is forgotten then.
int cmd_check_output(struct error *e);

// The path of a log: that of the file, or of the run's that this names.
int cmd_find_log(const char *runs, const char *word, char *path, size_t size, struct error *e);

// -1: the output would be over what ssltop keeps of a run, whichever; or over what the data set is
// read from: any file in its folder that does not begin with `magic`, as an earlier output does.
int cmd_begins(const char *path, const char *with);
int cmd_spares_runs(const char *out, struct error *e);
int cmd_spares_data(const char *out, const char *data, const char *magic, struct error *e);

// A number that does not exist is null.
json_t *cmd_number(double v);
// One object a line on stdout; takes the reference. CMD_OK or CMD_FAILED.
int cmd_print_json(json_t *object);

// The commands, for the table in commands.c, and their options.
int cmd_train(int argc, char **argv);
int cmd_attach(int argc, char **argv);
int cmd_replay(int argc, char **argv);
int cmd_metrics(int argc, char **argv);
int cmd_embed(int argc, char **argv);
int cmd_probe(int argc, char **argv);
int cmd_fit(int argc, char **argv);
int cmd_pack(int argc, char **argv);
int cmd_log(int argc, char **argv);
int cmd_export(int argc, char **argv);
int cmd_completion(int argc, char **argv);
// Options that are the screen's and not the training's.
extern const struct option_row screen_option_table[], cmd_attach_options[];
extern const struct option_row cmd_metrics_options[], cmd_embed_options[], cmd_probe_options[],
    cmd_fit_options[], cmd_pack_options[], cmd_log_options[], cmd_export_options[];

#endif
