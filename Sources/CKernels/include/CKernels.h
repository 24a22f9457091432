// Block kernels: the bytes of ggml's reference quantizers, many blocks at once.
//
// The arithmetic is that of the scalar definitions, operation by operation; a lane of a vector holds a block or a sub-block.
// One clone is compiled for each instruction set, and one is chosen when the first kernel is asked for.
#pragma once

#include "grids_4.h"
#include "grids_8.h"
#include "products.h"
#include "rows.h"

#include <stdbool.h>
#include <stdint.h>

// Types are named by ggml's numbers (enum ggml_type). Numbers of our own for what ggml does not have:
enum { QUERN_TYPE_F8_E4M3 = 64, QUERN_TYPE_F8_E5M2 = 65 };

// "v4", "v3" (x86-64 levels), "arm64" or "baseline": the instruction set in use. The environment variable QUERN_ISA names
// another one.
const char *quern_kernels_isa(void);

// The value of QUERN_ISA when it names nothing that this machine can run, else NULL. The best set is in use then.
const char *quern_kernels_unknown_isa(void);

// Chooses an instruction set by name. False, and no change, when this machine or build has none of that name.
bool quern_kernels_use(const char *isa);

// The name of the instruction set number `index` that this machine can run, best first, or NULL behind the last.
const char *quern_kernels_available(int index);

// Whether there is a kernel.
bool quern_kernels_quantizes(uint32_t type, bool with_importance);
bool quern_kernels_dequantizes(uint32_t type);

// x (rows, columns) -> blocks, row after row. `columns` is a whole number of blocks, every value is finite.
// `importance` (columns) or NULL. False, and nothing written, when there is no kernel.
bool quern_quantize(uint32_t type, const float *x, void *out, int64_t rows, int64_t columns, const float *importance);

// Blocks -> x (count), a whole number of blocks. False, and nothing written, when there is no kernel.
bool quern_dequantize(uint32_t type, const void *blocks, float *x, int64_t count);

// Whether none of x (count) is NaN or infinite.
bool quern_all_finite(const float *x, int64_t count);
