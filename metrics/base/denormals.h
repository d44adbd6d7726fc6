// Numbers so small that the processor falls back to microcode for each of them. The gradients of a
// network that has collapsed are such numbers, and its steps then take ten times as long.
#ifndef SSLTOP_METRICS_BASE_DENORMALS_H
#define SSLTOP_METRICS_BASE_DENORMALS_H

// From here on this thread, and those that it starts, take denormal numbers for zero and give zero
// instead of one. Nothing happens on a processor that isn't x86-64 or 64-bit Arm.
void denormals_flush(void);

#endif
