#include "table.h"

#if defined(__aarch64__)
#define CLONE arm64
#define LANES 4
#define PART_ROWS 12
#define PART_VECTORS 2
#define HAS_FMA 1
#define HAS_BF16 0
#include "product/product.h"
#endif
