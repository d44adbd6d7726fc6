// The readers of something foreign, each as a function of bytes: libFuzzer calls them with what it
// makes up (make fuzz), the suite "findings" with the seeds and with what was ever found. A target
// ends the process (fuzz_require, a sanitizer) where something is wrong, and returns 0 otherwise.
#ifndef SSLTOP_TESTS_FUZZ_TARGETS_H
#define SSLTOP_TESTS_FUZZ_TARGETS_H

#include <stddef.h>
#include <stdint.h>

// Name, dictionary (tests/fuzz/dictionaries/NAME.dict, "" none), largest input in bytes, largest
// allocation in MB, what it reads.
#define FUZZ_TARGETS(X)                                                                            \
    X(log, "record", 8192, 160, "a run log as it lies on disk")                                    \
    X(lines, "record", 16384, 160, "a run log of these lines: cursor, export, resume")             \
    X(frames, "record", 8192, 160, "a run log of these frames, marks and index")                   \
    X(step, "record", 4096, 64, "a line of a log")                                                 \
    X(npy, "npy", 8192, 64, ".npy: header, numbers, spectrum")                                     \
    X(npz, "npy", 8192, 64, ".npz: directory, members, their arrays")                              \
    X(calibration, "calibration", 8192, 64, "a calibration")                                       \
    X(idx, "", 2048, 64, "IDX: four files, plain or .gz")                                          \
    X(cifar, "", 512, 64, "CIFAR: six files")                                                      \
    X(stl, "", 512, 64, "STL-10: five files")                                                      \
    X(pack, "", 4096, 64, "a packed file")                                                         \
    X(folder, "folder", 2048, 64, "a folder of images: names and files")                           \
    X(jpeg, "jpeg", 8192, 256, "JPEG: head, EXIF, pixels")                                         \
    X(png, "png", 8192, 256, "PNG: head, pixels")                                                  \
    X(json, "options", 8192, 64, "options in JSON")                                                \
    X(ini, "options", 8192, 64, "a configuration file")                                            \
    X(arguments, "options", 2048, 64, "a command line")                                            \
    X(settings, "options", 1024, 64, "ssltop.ini, the choices for the screen")                     \
    X(completion, "options", 1024, 64, "words of usages, shells of completion")                    \
    X(safetensors, "safetensors", 8192, 64, "safetensors: header, metadata, tensors")              \
    X(checkpoint, "checkpoint", 4096, 64, "the metadata of a checkpoint")                          \
    X(weights, "safetensors", 2048, 64, "tensors of a checkpoint, and of others' networks")        \
    X(surrogates, "safetensors", 2048, 64, "the surrogate of a data set")                          \
    X(probe, "", 1024, 64, "what a linear probe measured of a run")                                \
    X(points, "calibration", 8192, 64, "evaluations that were kept for a fit")                     \
    X(remembered, "", 1024, 64, "what was measured on this machine")                               \
    X(control, "control", 4096, 64, "lines of the control socket, both ways")                      \
    X(guard, "guard", 2048, 64, "guard rules and their state")                                     \
    X(schedule, "schedule", 1024, 64, "schedules, rates, points in time")                          \
    X(socket, "control", 4096, 64, "the control socket with several clients")                      \
    X(ring, "", 8192, 64, "a client's ring and evaluations")                                       \
    X(client, "client", 4096, 64, "a client's messages, to the recorder as a whole")               \
    X(keys, "keys", 2048, 64, "bytes of a terminal, to events and a screen")                       \
    X(command, "command", 1024, 64, "the line behind : and /")                                     \
    X(viewer, "record", 8192, 160, "a run log, to screens")                                        \
    X(watch, "record", 4096, 64, "a trainer's log and socket, as a viewer watches them")

#define FUZZ_PROTOTYPE(name, ...) int fuzz_##name(const uint8_t *data, size_t size);
FUZZ_TARGETS(FUZZ_PROTOTYPE)

struct fuzz_target {
    const char *name;
    int (*run)(const uint8_t *data, size_t size);
    const char *dictionary;
    size_t most;
    int memory; // MB
    const char *doc;
};
extern const struct fuzz_target fuzz_target_table[];
enum {
#define FUZZ_COUNT(name, ...) FUZZ_INDEX_##name,
    FUZZ_TARGETS(FUZZ_COUNT) FUZZ_TARGET_COUNT
};

// The row of this name, or NULL.
const struct fuzz_target *fuzz_find(const char *name);

// --- an input, taken from its front ---
struct input {
    const uint8_t *p;
    size_t n;
};
// What is over gives 0, or a shorter piece.
uint8_t input_byte(struct input *in);
uint64_t input_number(struct input *in, int bytes); // the lowest first
struct input input_take(struct input *in, size_t n);
// The next line, cut to its size, as a text: 1; 0: there is none.
int input_line(struct input *in, char *line, size_t size);
char *input_text(struct input in); // with a NUL behind it; to be freed

// What must hold whatever the input says.
#define fuzz_require(what) ((what) ? (void)0 : fuzz_failed(__FILE__, __LINE__, #what))
void fuzz_failed(const char *file, int line, const char *what) __attribute__((noreturn));

#endif
