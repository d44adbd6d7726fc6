// The control protocol: one JSON object a line over a Unix socket, both ends. man/ssltop-log.5
// documents it.
//
//   -> {"id":1,"by":"key","cmd":"mode","mode":"continual"}
//   <- {"type":"answer","id":1,"ok":true,"step":1284,"text":"continual from step 1284"}
//   <- {"type":"answer","id":1,"ok":false,"text":"why not"}
//
// Commands: watch; status; pause; resume; step; eval; checkpoint; stop; mode {mode, chunks?}; lr
// {factor}; until {at: "40%" | step, mode}. After `watch` (answer field "lines": how many lines the
// log on disk holds, all flushed) every further record follows as the very line that the log gets:
// read that many lines of the log, then the socket.
#ifndef SSLTOP_TRAIN_WIRE_CONTROL_H
#define SSLTOP_TRAIN_WIRE_CONTROL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "metrics/base/error.h"
#include "metrics/log/mode.h"

enum command {
    COMMAND_WATCH,
    COMMAND_STATUS,
    COMMAND_PAUSE,
    COMMAND_RESUME,
    COMMAND_STEP,
    COMMAND_EVAL,
    COMMAND_CHECKPOINT,
    COMMAND_STOP,
    COMMAND_MODE,
    COMMAND_LR,
    COMMAND_UNTIL,
    COMMAND_COUNT
};
struct command_row {
    const char *name;     // "mode"
    const char *argument; // "MODE", "FACTOR", "WHEN then MODE", NULL
    const char *doc;
    const char *missing; // why a training that is not ssltop's may not take it; NULL: all do
};
extern const struct command_row command_table[COMMAND_COUNT];

// A command with its arguments, parsed and checked as far as it can be without the run.
struct command_call {
    enum command command;
    int64_t id;
    char by[12]; // key, ctl
    enum mode mode;
    int chunks;    // 0: the run's
    double factor; // lr
    char at[24];   // until: "40%" or a step
};

// What a person types ("mode continual", "lr 0.5x", "until 40% then multi-epoch") to a call; and a
// call to and from JSON.
int command_parse_text(const char *text, struct command_call *out, struct error *e);
int command_parse_json(const char *line, size_t n, struct command_call *out, struct error *e);
char *command_to_json(const struct command_call *c); // malloc'd line without newline, or NULL

// The answer to a call.
struct answer {
    int64_t id;
    int ok;
    int64_t step;  // from which it holds, -1 if it has none
    int64_t lines; // watch; -1 absent
    int paused;    // status: 0/1; -1 absent
    char text[256];
};
void answer_init(struct answer *a, int64_t id); // not ok, everything optional absent
char *answer_to_json(const struct answer *a);   // malloc'd line without newline, or NULL
// 1: it is an answer; 0: it is something else (a record); -1: broken.
int answer_parse(const char *line, size_t n, struct answer *out, struct error *e);

// --- client ---
// Connect to the trainer of a run folder (its file `control` holds the socket's path). A trainer
// that lives and is not there is waited for so long: it may be starting, or about to make a socket
// anew in place of one that was removed. A blocking, close-on-exec fd; -1 says "no trainer is
// running RUN" or why not.
enum { CONTROL_PATIENCE_MS = 5000 }; // more than a trainer needs to see that its socket is gone
int control_connect(const char *run_dir, int patience_ms, struct error *e);
// The trainer at the other end if a signal has stopped it (kill -STOP, Ctrl-Z), so that it cannot
// answer; 0: it is not stopped, or nobody knows.
pid_t control_stopped(int fd);
// Send one call and wait up to timeout_ms for its answer (records in between are skipped).
int control_call(int fd, const struct command_call *c, int timeout_ms, struct answer *out,
                 struct error *e);

#endif
