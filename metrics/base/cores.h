// The cores of this machine: how many threads may work at once, and how they do it.
#ifndef SSLTOP_METRICS_BASE_CORES_H
#define SSLTOP_METRICS_BASE_CORES_H

// Cores that this process may use, 1 or more: its affinity, and no more than the quotas of its
// control groups pay for (rounded up), those of the groups around them too, of either version.
int cores_usable(void);

// The least of those quotas, in cores; 0: there is none. `proc`: the folder whose files "cgroup"
// and "mountinfo" say where the groups are, /proc/self but in a test.
int cores_quota(const char *proc);

// From here on this thread works only when no other wants the processor, and never wakes up at
// another's cost. Where that is refused it is the least of all. There is no way back.
void cores_stand_back(void);

// From here on this thread, and those that it starts, take denormal numbers for zero and give zero
// instead of one: numbers so small that the processor falls back to microcode for each of them. The
// gradients of a network that has collapsed are such numbers, and its steps then take ten times as
// long. Nothing happens on a processor that isn't x86-64 or 64-bit Arm.
void cores_flush_denormals(void);

#endif
