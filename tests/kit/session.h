// The program on a terminal: a pseudo terminal and libvterm. What is waited for is waited for by
// looking at the screen; the deadline only ends a test that has failed.
#ifndef SSLTOP_TESTS_KIT_SESSION_H
#define SSLTOP_TESTS_KIT_SESSION_H

#include <sys/types.h>
#include <termios.h>
#include <time.h>
#include <vterm.h>

enum { DEADLINE = 240, SESSION_LEAK = 66 }; // seconds; exit code of a program that leaked

struct session {
    pid_t pid;
    int master;
    struct termios before;
    VTerm *vt;
    VTermScreen *screen;
    int h, w;
    int alternate, hidden, mouse, paste; // screen, cursor, input, as the terminal was told
    const char *term, *config; // its TERM, and the folder of its settings; NULL: usual, none
    char tail[5];              // what came last
    long bytes;                // that came so far
    char text[1 << 16];
};

// Start a program with its arguments on 24 x 80, or a function on h x w. `s` may bring term and
// config, else it is zeroed.
void session_start(struct session *s, char **argv);
void session_run(struct session *s, int h, int w, int (*program)(void *of), void *of);
// Bytes for the terminal: 1 = some, 0 = none within the time, -1 = the program closed it.
int session_feed(struct session *s, int timeout_ms);
// What the terminal shows, blanks as blanks.
const char *session_text(struct session *s);
void session_wait(struct session *s, const char *what);
void session_type(struct session *s, const char *keys);
void session_resize(struct session *s, int h, int w);
// Wait until the program ended; its status. The terminal must be as it was, if that is asked.
int session_finish(struct session *s, int check_terminal);
void session_end(struct session *s); // by itself, with 0, the terminal as it was

#endif
