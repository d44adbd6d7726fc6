// What the commands without a screen share: their options as rows, their complaints.
#ifndef SSLTOP_TUI_CMD_H
#define SSLTOP_TUI_CMD_H

#include <jansson.h>

#include "metrics/error.h"

enum { CMD_OK = 0, CMD_FAILED = 1, CMD_USAGE = 2, CMD_GO_ON = -1 };

// --NAME, or -N for a name of one letter. Exactly one of `flag` and `value` is where it goes.
struct cmd_option {
    const char *name, *argument; // argument NULL: a flag
    const char *doc;
    int *flag;
    const char **value;
};

// Take options (a NULL name ends them) out of argv; words stay in order, argc is lowered. --help
// prints usage and rows. CMD_GO_ON, or the exit code after a complaint: unknown options, fewer than
// `least` or more than `most` words.
int cmd_parse(int *argc, char **argv, const struct cmd_option *option, int least, int most);

// Print the sentence to stderr, clean; returns `code`.
int cmd_complain(int code, const struct error *e);

// Images that turned out to be broken, a line each on stderr.
struct dataset;
void cmd_name_broken(const struct dataset *d);

// The number behind --threads (NULL: 0) into *threads. CMD_GO_ON, or CMD_USAGE after a complaint.
int cmd_threads(const char *text, int *threads);

// A number that does not exist is null.
json_t *cmd_number(double v);
// One object a line on stdout; takes the reference. CMD_OK or CMD_FAILED.
int cmd_print_json(json_t *object);

// The commands, for the table in commands.c.
int cmd_metrics(int argc, char **argv);
int cmd_embed(int argc, char **argv);
int cmd_probe(int argc, char **argv);
int cmd_fit(int argc, char **argv);
int cmd_pack(int argc, char **argv);

#endif
