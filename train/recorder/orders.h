// What viewers, scripts and the guard want, on its way to the client and back: an order is sent,
// and answered to who gave it when the client has answered.
#ifndef SSLTOP_TRAIN_RECORDER_ORDERS_H
#define SSLTOP_TRAIN_RECORDER_ORDERS_H

#include <stddef.h>

#include "train/recorder/recording.h"

// A command came: it is sent on, or refused at once with the reason.
void orders_take(struct recorder *r, const struct request *q);
// The client answered; `text` is clean.
void orders_answered(struct recorder *r, const struct link_message *m, const char *text);
// The guard looks at a step.
void orders_guard(struct recorder *r, const struct step_result *s);

// The commands that this client takes, by name with blanks between.
void orders_offered(const struct recorder *r, char *text, size_t size);
// What `status` is answered from.
void orders_status(struct recorder *r);

#endif
