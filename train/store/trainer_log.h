// trainer.log: what a person wants to read when a training went wrong while nobody looked.
#ifndef SSLTOP_TRAIN_STORE_TRAINER_LOG_H
#define SSLTOP_TRAIN_STORE_TRAINER_LOG_H

// One line with the time in front to `fd` (-1: nowhere), and to stderr too when `echo`. Safe from
// any thread; a failing write is nobody's trouble.
void trainer_log(int fd, int echo, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
