#include "table.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("arch=x86-64-v3"))), apply_to = function)
#define CLONE v3
#define LANES 8
#define PART_ROWS 6
#define PART_VECTORS 2
#define HAS_FMA 1
#define HAS_BF16 0
#include "product/product.h"
#pragma clang attribute pop
#endif
