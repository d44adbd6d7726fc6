// Criterion's second header: all that the tests use of it is in the first.
#include "criterion/criterion.h"
