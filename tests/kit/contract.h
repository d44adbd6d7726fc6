// The device that the contract tests run on: the CPU, or what SSLTOP_TEST_DEVICE names ("cuda").
#ifndef SSLTOP_TESTS_KIT_CONTRACT_H
#define SSLTOP_TESTS_KIT_CONTRACT_H

#include <stdlib.h>

static inline const char *contract_device(void)
{
    const char *set = getenv("SSLTOP_TEST_DEVICE");
    return set && set[0] ? set : "cpu";
}

#endif
