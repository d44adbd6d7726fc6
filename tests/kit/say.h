// A command of the program in a child of its own, for tests.
#ifndef SSLTOP_TESTS_KIT_SAY_H
#define SSLTOP_TESTS_KIT_SAY_H

struct said {
    int code; // exit code, or 1000 + the signal that killed it
    char *out, *err;
};
// `ssltop WORDS...` (ends with NULL). `closed`: nobody reads what it prints.
struct said say(int closed, const char *const *word);
#define SAY(...) say(0, (const char *const[]){__VA_ARGS__, NULL})
void said_free(struct said *s);

#endif
