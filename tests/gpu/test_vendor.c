// A device whose libraries the loader does not find: where they are looked for, and what is said of
// one that is nowhere.
#include <criterion/criterion.h>

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/vendor.h"
#include "metrics/base/path.h"

// The folder of the stand-ins, beside this program.
static struct path fake(const char *name)
{
    return path_of("%sfake/%s", path_folder(path_program().s).s, name);
}

static void forget(void)
{
    static const char *const names[] = {"CUDA",      "CUDNN",        "CUDA_HOME",
                                        "CUDA_PATH", "CONDA_PREFIX", "PYTHONPATH",
                                        "HOME",      "VIRTUAL_ENV",  "LD_LIBRARY_PATH"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        cr_assert(unsetenv(names[i]) == 0);
}

static void *open_device(struct error *e)
{
    return vendor_open(fake("device.so").s, e);
}

static void says_lacking(const char *name)
{
    struct error e = {""};
    cr_expect(open_device(&e) == NULL);
    cr_expect(strstr(e.text, name) && strstr(e.text, "CUDA=/path"), "says: %s", e.text);
}

static void works(void)
{
    struct error e = {""};
    void *library = open_device(&e);
    cr_assert(library, "%s", e.text);
    int (*device)(void);
    void *symbol = dlsym(library, "device");
    cr_assert(symbol);
    memcpy(&device, &symbol, sizeof device);
    cr_expect_eq(device(), 42);
}

Test(vendor, libraries_in_a_toolkit_and_in_a_package)
{
    forget();
    says_lacking("libfake-blas.so.3");
    cr_assert(setenv("CUDA", fake("toolkit").s, 1) == 0);
    says_lacking("libfake-blas.so.3"); // found, but without what it needs itself
    cr_assert(setenv("PYTHONPATH", path_of("relative::/nowhere:%s", fake("packages").s).s, 1) == 0);
    works();
}

Test(vendor, packages_named_by_CUDA_and_a_toolkit_named_by_CUDNN)
{
    forget();
    cr_assert(setenv("CUDA", fake("packages/nvidia").s, 1) == 0);
    cr_assert(setenv("CUDNN", fake("toolkit").s, 1) == 0);
    works();
}

Test(vendor, a_library_by_its_name)
{
    struct error e = {""};
    forget();
    cr_expect(vendor_find("libfake-link.so.2", &e) == NULL);
    cr_expect(strstr(e.text, "libfake-link.so.2"), "says: %s", e.text);
    cr_assert(setenv("PYTHONPATH", fake("packages").s, 1) == 0);
    cr_expect(vendor_find("libfake-link.so.2", &e), "says: %s", e.text);
    cr_expect(vendor_find(fake("packages/nvidia/fake/lib/libfake-link.so.2").s, &e));
    cr_expect(vendor_find("/nowhere/libfake-link.so.2", &e) == NULL);
    cr_expect(strstr(e.text, "/nowhere/libfake-link.so.2"), "says: %s", e.text);
}

Test(vendor, a_library_that_is_not_there)
{
    struct error e = {""};
    forget();
    cr_expect(vendor_open("/nonexistent/device.so", &e) == NULL);
    cr_expect(strstr(e.text, "/nonexistent/device.so") && !strstr(e.text, "CUDA="), "says: %s",
              e.text);
    cr_expect(vendor_open("device-of-nobody.so", &e) == NULL);
    cr_expect(strstr(e.text, "device-of-nobody.so") && !strstr(e.text, "CUDA="), "says: %s",
              e.text);
    cr_expect(vendor_open(fake("../check").s, &e) == NULL); // a program
    cr_expect(e.text[0] != '\0');
}
