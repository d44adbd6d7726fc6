// ssltop: a live monitor of representation collapse around a SimSiam training loop.
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <unistd.h>

#include "metrics/science/blas.h"
#include "train/run/devices.h"
#include "tui/cli/commands.h"

// Sanitizers have to come before all else.
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
__attribute__((section(".preinit_array"), used)) static void (*const before)(int, char **,
                                                                             char **) = blas_before;
#endif

// Where a standard descriptor is closed the next file would be taken for it. What stands there
// instead refuses to be read (0) or written (1, 2), as the closed one did.
static void hold_standard(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
            open("/dev/null", fd ? O_RDONLY : O_WRONLY) < 0)
            return;
}

int main(int argc, char **argv)
{
    hold_standard();
    setlocale(LC_CTYPE, "");  // only this: numbers in logs are not written in a locale
    signal(SIGXFSZ, SIG_IGN); // a file too large is an error of who writes it
    devices_prepare(argv);
    return commands_main(argc, argv);
}
