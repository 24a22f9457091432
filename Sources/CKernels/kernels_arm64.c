#include "table.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#define CLONE arm64
#define LANES 4
#define GROUPS 4
#define HAS_ROUNDING 1
#define HAS_HALF 1
#include "clone/clone.h"
#endif
