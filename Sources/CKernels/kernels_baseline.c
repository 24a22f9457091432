#include "table.h"

#if !defined(__aarch64__)
#define CLONE baseline
#define LANES 4
#define GROUPS 2
#define HAS_ROUNDING 0
#define HAS_HALF 0
#include "clone/clone.h"
#endif
