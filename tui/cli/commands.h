// The command line: argv to a row of the command table.
#ifndef SSLTOP_TUI_CLI_COMMANDS_H
#define SSLTOP_TUI_CLI_COMMANDS_H

#include <stdio.h>

#include "tui/cli/cmd.h"

struct command_line_row {
    const char *name;
    const char *usage;                 // behind the name
    const char *doc;                   // one line
    int (*run)(int argc, char **argv); // argv[0] is the command; the exit code
    const struct cmd_option *options;  // ends with a NULL name; NULL: none, or train's own
    const char *words;                 // what a shell offers for each word behind it, as
                                       // cmd_option.values, divided by blanks; the last repeats
};
extern const struct command_line_row command_line_table[]; // ends with a NULL name

// The options that are the screen's and not the training's; for help, manual and completion.
extern const struct cmd_option screen_option_table[]; // ends with a NULL name

// The whole program behind main: dispatches, prints, returns the exit code (0, 1, 2, 130, 143).
int commands_main(int argc, char **argv);

#endif
