// ssltop: a live monitor of representation collapse around a SimSiam training loop.
#include <locale.h>
#include <signal.h>

#include "train/run/devices.h"
#include "tui/cli/commands.h"

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, "");  // only this: numbers in logs are not written in a locale
    signal(SIGXFSZ, SIG_IGN); // a file too large is an error of who writes it
    devices_prepare(argv);
    return commands_main(argc, argv);
}
