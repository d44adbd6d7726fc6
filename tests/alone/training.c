// A short training on the device that the contract tests run on, by the program itself, as anybody
// would start it. Run beside them by tests/gpu/check.sh.
#include <criterion/criterion.h>

#include "metrics/base/path.h"
#include "tests/kit/contract.h"

static void train(const char *options)
{
    const char *program = getenv("SSLTOP");
    char runs[] = "/tmp/ssltop-check-XXXXXX", said[8192] = "";
    cr_assert(program && mkdtemp(runs), "SSLTOP names no program, or there is no /tmp");
    FILE *f = popen(path_of("'%s' train --headless --device %s --data synthetic:2048 --width 16 "
                            "--batch 128 --steps 40 --runs '%s' %s 2>&1",
                            program, contract_device(), runs, options)
                        .s,
                    "r");
    cr_assert(f != NULL);
    said[fread(said, 1, sizeof said - 1, f)] = '\0';
    cr_expect(pclose(f) == 0 && strstr(said, "finished at step 40"), "%s", said);
    cr_expect(system(path_of("rm -r '%s'", runs).s) == 0);
}

Test(training, simsiam_f32)
{
    train("--precision f32");
}

Test(training, simsiam_bf16)
{
    train("--precision bf16");
}

Test(training, byol)
{
    train("--method byol");
}
