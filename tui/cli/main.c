// ssltop: a live monitor of representation collapse around a SimSiam training loop.
#include <locale.h>

#include "train/run/devices.h"
#include "tui/cli/commands.h"

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, ""); // only this: numbers in logs are not written in a locale
    devices_prepare(argv);
    return commands_main(argc, argv);
}
