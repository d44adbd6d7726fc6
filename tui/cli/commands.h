// The command line: argv to a row of the command table.
#ifndef SSLTOP_TUI_CLI_COMMANDS_H
#define SSLTOP_TUI_CLI_COMMANDS_H

#include <stdio.h>

#include "tui/cli/cmd.h"

enum { COMMAND_LINE_TABLES = 2 };
struct command_line_row {
    const char *name;
    const char *usage;                 // behind the name: its words, and that there are options
    const char *doc;                   // one line
    int (*run)(int argc, char **argv); // argv[0] is the command; the exit code
    const struct option_row *options[COMMAND_LINE_TABLES + 1]; // tables; NULL ends them
};
extern const struct command_line_row command_line_table[];          // ends with a NULL name
const struct command_line_row *command_line_find(const char *name); // or NULL

// The options that are the screen's and not the training's; for the manual.
extern const struct option_row screen_option_table[]; // ends with a NULL name

// The whole program behind main: dispatches, prints, returns the exit code (0, 1, 2, 130, 143).
int commands_main(int argc, char **argv);

#endif
