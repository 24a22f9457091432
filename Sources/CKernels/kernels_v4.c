#include "table.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("arch=x86-64-v4"))), apply_to = function)
// Otherwise the compiler halves vectors in some functions.
#pragma clang attribute push(__attribute__((min_vector_width(512))), apply_to = function)
#define CLONE v4
#define LANES 16
#define GROUPS 2
#define HAS_ROUNDING 1
#define HAS_HALF 1
#include "clone/clone.h"
#pragma clang attribute pop
#pragma clang attribute pop
#endif
