// The time: one clock that only goes forward, for what lasts and for what is waited for; and the
// wall's, in words.
#ifndef SSLTOP_METRICS_BASE_CLOCK_H
#define SSLTOP_METRICS_BASE_CLOCK_H

#include <pthread.h>
#include <stdint.h>

enum { CLOCK_TEXT = 32 };

double clock_seconds(void);        // since some fixed moment; nobody sets it
int64_t clock_ms(void);            // the same, in whole milliseconds
double clock_thread_seconds(void); // of the processor, that this thread has had

// Wait for the condition until clock_seconds() is `until`: 0, or ETIMEDOUT. Wakes for nothing at
// times, as any such wait.
int clock_wait(pthread_cond_t *c, pthread_mutex_t *held, double until);
int clock_left(int64_t until);    // ms until clock_ms() is that, for poll; 0: it is over
void clock_sleep(double seconds); // or until a signal comes

void clock_utc(char text[CLOCK_TEXT]);   // now, as in 2026-11-29T10:20:30Z
void clock_stamp(char text[CLOCK_TEXT]); // now, for a name: 20261129-102030, local time

#endif
