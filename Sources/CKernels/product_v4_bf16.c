#include "table.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("arch=x86-64-v4,avx512bf16"))), apply_to = function)
#pragma clang attribute push(__attribute__((min_vector_width(512))), apply_to = function)
#define CLONE v4_bf16
#define LANES 16
#define PART_ROWS 12
#define PART_VECTORS 2
#define HAS_FMA 1
#define HAS_BF16 1
#include "product/product.h"
#pragma clang attribute pop
#pragma clang attribute pop
#endif
