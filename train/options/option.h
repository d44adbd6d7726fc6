// An option of any command as a row. Tables of rows feed the one parser, the help, the
// configuration file, the manual and the completion of shells.
#ifndef SSLTOP_TRAIN_OPTIONS_OPTION_H
#define SSLTOP_TRAIN_OPTIONS_OPTION_H

#include <stddef.h>
#include <stdio.h>

#include "metrics/base/error.h"

enum { OPTION_TEXT = 1024 }; // bytes of the longest value

enum option_type {
    OPTION_STRING, // copied into a char array: printable UTF-8
    OPTION_WORD,   // a const char * to the word as it was typed, any bytes; NULL when not given
    OPTION_INT,
    OPTION_INT64,
    OPTION_UINT64,
    OPTION_DOUBLE,
    OPTION_FLAG // an int
};
enum option_place {
    OPTION_COMMAND, // belongs to this call only
    OPTION_CONFIG   // and into config.ini and the run record
};

struct option_row {
    const char *name; // long option without "--", key of the configuration file; of one letter: -N
    enum option_type type;
    enum option_place place;
    size_t offset, size;     // of the field in the struct that the table is about
    const char *fallback;    // default as text; NULL or "": none
    const char *environment; // variable that changes the default; or NULL
    const char *argument; // "N", "FILE.npy", ...: a shell offers files for FILE, folders for DIR,
                          // runs for RUN; NULL for a flag (then --no-NAME works too)
    double lo, hi;        // for numbers, both allowed
    const char *word; // numbers and flags: the word for `word_value` ("auto"), which has no other
                      // spelling; or NULL
    int word_value;
    const char *choices; // "auto|cifar|imagenet", the only values; NULL for any
    // Values that another table has: the i-th into text, 0 when there are no more; or NULL.
    int (*values)(int i, char *text, size_t size);
    int only; // these are the only ones
    // As values, but facts that "{}" in the doc stands for instead; or NULL.
    int (*facts)(const struct option_row *row, int i, char *text, size_t size);
    const char *section; // heading in help and manual; or NULL
    const char *doc;     // one or two sentences; "{}" stands for the values or the facts
    int (*check)(const char *value, struct error *e); // text: more than the row can say; or NULL
};
// Tables end with a NULL name.

#define OPTION_FIELD(of, f) .offset = offsetof(of, f), .size = sizeof(((of *)0)->f)
#define OPTION_RANGE(a, b)  .lo = (a), .hi = (b)
#define OPTION_AUTO         .fallback = "auto", .word = "auto"
// Steps and images: exact in a double, and no product with a batch overflows 64 bits.
#define OPTION_MANY 1e15

// Rows that many commands have.
#define OPTION_RUNS(of, t)                                                                         \
    .name = "runs", .type = (t), OPTION_FIELD(of, runs), .argument = "DIR", .fallback = "./runs",  \
    .environment = "SSLTOP_RUNS",                                                                  \
    .doc = "Where run folders are. The environment variable SSLTOP_RUNS changes the default."
#define OPTION_THREADS(of, most)                                                                   \
    .name = "threads", .type = OPTION_INT, OPTION_FIELD(of, threads), .argument = "N",             \
    OPTION_AUTO, OPTION_RANGE(1, most)
extern const struct option_row option_help_row; // of every command; the parser knows it by itself

// The row of this name, or NULL.
const struct option_row *option_find(const struct option_row *table, const char *name);
// "--", or "-" for a name of one letter.
const char *option_dashes(const struct option_row *row);
// The i-th of the values that a row names, by itself or from another table: 1, 0 = no more.
int option_choice(const struct option_row *row, int i, char *text, size_t size);
// "a, b or c": those values.
void option_choices(const struct option_row *row, char *text, size_t size);
// The doc with its values in their place.
void option_doc(const struct option_row *row, char *text, size_t size);

// What `values` does with a word, or NULL for none.
int option_put(const char *word, char *text, size_t size);

// Text into the row's field of the struct at `into`. A sentence that says what was expected.
int option_set(const struct option_row *row, void *into, const char *value, struct error *e);
// And back.
void option_value(const struct option_row *row, const void *from, char *text, size_t size);

// A table and what it fills in: the struct, and a byte for each row that was set (or NULL).
struct option_set {
    const struct option_row *table; // NULL ends an array of these
    void *into;
    unsigned char *given;
};

// Every field as its row and its environment variable say; -1 with the sentence of a variable that
// can't be taken, and the row's own default in its place.
int option_defaults(const struct option_set *set, struct error *e);
// argv[1..argc-1] into the fields: "--NAME VALUE", "--NAME=VALUE", "--NAME", "--no-NAME". What is
// no option comes to stand in argv[1..*words], and NULL behind it; `words` NULL: there may be none,
// and argv stays as it is. An unknown option is an error that names it and the nearest known one. 0
// or -1; OPTION_HELP as soon as --help or -h is met.
enum { OPTION_HELP = 1 };
int option_parse(const char *command, const struct option_set *set, int argc, char **argv,
                 int *words, struct error *e);
// There is no such option: names the nearest, or where all are listed. Always -1.
int option_unknown(const char *command, const struct option_set *set, const char *dashes,
                   const char *name, struct error *e);

// Tables (NULL ends them) for a person, lines at most `columns` wide. --help stands behind the
// first.
void option_help(const struct option_row *const *tables, FILE *f, int columns);

#endif
