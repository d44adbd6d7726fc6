// What the tests of decoding share.
#include "tests/kit/decoded.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

// Bytes as an open file, as the head is read from one.
static int file_of(const uint8_t *data, size_t n)
{
    int fd = memfd_create("picture", MFD_CLOEXEC);
    cr_assert(fd >= 0);
    cr_assert_eq(write(fd, data, n), (ssize_t)n);
    return fd;
}

int decoded_head(const uint8_t *data, size_t n, struct decode_head *h, struct error *e)
{
    int fd = file_of(data, n);
    e->text[0] = '\0';
    int rc = decode_head(fd, h, e);
    close(fd);
    return rc;
}

float *decoded_view(const uint8_t *data, size_t n, const struct box *crop, int out,
                    struct picture *seen, struct error *e)
{
    struct decode_head h;
    struct decoder *d;
    struct resizer *r;
    struct box box;
    float *view = malloc(3 * (size_t)out * (size_t)out * sizeof *view);
    cr_assert_not_null(view);
    if (decoded_head(data, n, &h, e) < 0) {
        free(view);
        return NULL;
    }
    cr_assert_eq(decoder_new(&d, e), 0);
    cr_assert_eq(resizer_new(3, out, out, &r, e), 0);
    if (decoder_run(d, &h, data, n, crop, 1, out, out, seen, &box, e) == 0)
        cr_assert_eq(resizer_run(r, seen, &box, 1.0f, view, e), 0);
    else {
        free(view);
        view = NULL;
    }
    resizer_free(r);
    decoder_free(d);
    return view;
}

void decoded_difference(const float *a, const float *b, size_t n, double *mean, double *most)
{
    *mean = *most = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        *mean += d / (double)n;
        *most = fmax(*most, d);
    }
}
