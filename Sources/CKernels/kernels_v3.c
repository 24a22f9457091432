#include "table.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("arch=x86-64-v3"))), apply_to = function)
#define CLONE v3
#define LANES 8
#define GROUPS 2
#define HAS_ROUNDING 1
#define HAS_HALF 1
#include "clone/clone.h"
#pragma clang attribute pop
#endif
