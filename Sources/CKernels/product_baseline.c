#include "table.h"

#if !defined(__aarch64__)
#define CLONE baseline
#define LANES 4
#define PART_ROWS 2
#define PART_VECTORS 2
#define HAS_FMA 0
#define HAS_BF16 0
#include "product/product.h"
#endif
