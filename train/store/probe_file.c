// One JSON object; a reader takes no more of a file than such an object can need.
#include "train/store/probe_file.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <unistd.h>

#include "metrics/base/file.h"
#include "metrics/base/path.h"

enum { MOST = 4096 };
#define IMAGES_MOST INT64_C(1000000000)

int probe_file_write(const char *dir, const struct probe_kept *k, struct error *e)
{
    struct file out;
    if (file_create(&out, path_of("%s/" PROBE_FILE, dir).s, FILE_DURABLE, e) < 0)
        return -1;
    int n = fprintf(
        out.stream,
        "{\"step\": %lld, \"n_train\": %lld, \"n_test\": %lld, \"linear_correct\": %lld}\n",
        (long long)k->step, (long long)k->n_train, (long long)k->n_test, (long long)k->correct);
    return file_finish(&out, n < 0 ? error_system(e, "%s", dir) : 0, e);
}

static int take(const json_t *o, const char *key, int64_t *out)
{
    const json_t *v = json_object_get(o, key);
    *out = json_integer_value(v);
    return json_is_integer(v) && *out >= 0;
}

static int makes_sense(const json_t *o, struct probe_kept *k)
{
    return take(o, "step", &k->step) && take(o, "n_train", &k->n_train) &&
           take(o, "n_test", &k->n_test) && take(o, "linear_correct", &k->correct) &&
           k->n_train >= 1 && k->n_test >= 1 && k->n_train <= IMAGES_MOST &&
           k->n_test <= IMAGES_MOST && k->correct <= k->n_test;
}

int probe_file_read(const char *dir, struct probe_kept *out, struct error *e)
{
    char text[MOST];
    struct path path = path_of("%s/" PROBE_FILE, dir);
    int fd = open(path.s, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // not to wait at a pipe
    if (fd < 0)
        return errno == ENOENT ? 1 : error_system(e, "%.300s", path.s);
    ssize_t n = read(fd, text, sizeof text);
    int why = errno;
    close(fd);
    if (n < 0)
        return error_number(e, why, "%.300s", path.s);
    json_t *o = n < MOST ? json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, NULL) : NULL;
    int rc = o && makes_sense(o, out)
                 ? 0
                 : error_set(e, "%.300s is not what probe --keep leaves", path.s);
    json_decref(o);
    return rc;
}
