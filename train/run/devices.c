// The devices of this machine, for `ssltop devices`: each is opened, asked and closed.
#include "train/run/devices.h"

#include <errno.h>
#include <jansson.h>

#include "gpu/device.h"
#include "metrics/log/record.h"

static const struct {
    const char *word, *text;
} precisions[] = {[BF16_NONE] = {"f32", "f32"},
                  [BF16_ALWAYS] = {"bf16", "bf16"},
                  [BF16_TO_BE_TIMED] = {"auto", "f32, or bf16 where that trains a network faster"}};

static void print_text(FILE *f, const char *spec, const struct device_info *info, const char *why)
{
    char name[256], detail[600];
    text_clean(name, sizeof name, info ? info->name : "");
    text_clean(detail, sizeof detail, info ? info->detail : why);
    if (!info) {
        fprintf(f, "%-6s not usable: %s\n", spec, detail);
        return;
    }
    fprintf(f, "%-6s %s, %d thread%s, default precision %s", spec, name, info->threads,
            info->threads == 1 ? "" : "s", precisions[info->bf16].text);
    if (info->memory)
        fprintf(f, ", %.1f GB", (double)info->memory / 1e9);
    fprintf(f, "\n       %s\n", detail);
}

static int print_json(FILE *f, const char *kind, const char *spec, const struct device_info *info,
                      const char *why)
{
    json_t *o = info ? json_pack("{s:s, s:s, s:b, s:s, s:s, s:i, s:s, s:I}", "kind", kind, "device",
                                 spec, "usable", 1, "name", info->name, "detail", info->detail,
                                 "threads", info->threads, "precision", precisions[info->bf16].word,
                                 "memory", (json_int_t)info->memory)
                     : json_pack("{s:s, s:s, s:b, s:s}", "kind", kind, "device", spec, "usable", 0,
                                 "why", why);
    int rc = o && json_dumpf(o, f, JSON_COMPACT) == 0 && fputc('\n', f) != EOF ? 0 : -1;
    json_decref(o);
    return rc;
}

// The device that --device SPEC would take, or `why` there is none.
static int print_device(FILE *f, int json, const char *kind, const char *spec, struct error *why)
{
    struct device *d = NULL;
    int usable = !why->text[0] && device_open(spec, 0, &d, why) == 0, rc = 0;
    const struct device_info *info = usable ? device_info(d) : NULL;
    if (json)
        rc = print_json(f, kind, spec, info, why->text);
    else
        print_text(f, spec, info, why->text);
    if (usable)
        device_close(d);
    return rc;
}

void devices_prepare(char **argv)
{
    device_prepare(argv);
}

int devices_print(FILE *f, int json, struct error *e)
{
    const struct device_kind *kind;
    for (int i = 0; (kind = device_kind(i)); i++) {
        struct error why = {""};
        int n = device_count(kind, &why);
        for (int k = 0; k < (n > 1 ? n : 1); k++) {
            char spec[32];
            struct error of_this = why;
            snprintf(spec, sizeof spec, n > 1 ? "%s:%d" : "%s", kind->name, k);
            if (print_device(f, json, kind->name, spec, &of_this) < 0 && !ferror(f))
                return error_memory(e, "the list of devices");
        }
    }
    return 0;
}
