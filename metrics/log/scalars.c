// Frames that are marked as spectra are not even decoded; spectra of a log without marks are passed
// over by their heads.
#include "metrics/log/scalars.h"

#include "metrics/log/record_head.h"
#include "metrics/log/runlog.h"

int scalars_read(const char *log_path, scalars_taker *take, void *to, struct error *e)
{
    struct runlog_reader *reader;
    const char *line;
    size_t n;
    int rc = 0, taken = SCALARS_NEXT;
    if (runlog_open(log_path, &reader, e) < 0)
        return -1;
    runlog_skip(reader, RUNLOG_SPECTRA);
    while (taken >= 0 && taken != SCALARS_STOP && (rc = runlog_next(reader, &line, &n, e)) == 1) {
        struct record_head head;
        struct record r;
        if (!record_head(line, n, &head) || head.type == RECORD_SPECTRUM ||
            head.type == RECORD_UNKNOWN)
            continue;
        taken = record_parse(line, n, &r, NULL) == 0 ? take(to, &r, e) : SCALARS_NEXT;
        if (taken != SCALARS_MOVED)
            record_free(&r);
    }
    runlog_reader_free(reader);
    return taken < 0 || rc < 0 ? -1 : 0;
}
