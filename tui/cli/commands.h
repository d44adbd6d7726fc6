// The command line: argv to a row of the command table.
#ifndef SSLTOP_TUI_CLI_COMMANDS_H
#define SSLTOP_TUI_CLI_COMMANDS_H

#include "tui/cli/cmd.h"

// The whole program behind main: dispatches, prints, returns the exit code (0, 1, 2, 130, 143).
int commands_main(int argc, char **argv);

#endif
