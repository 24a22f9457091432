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

// Levels and scales apart: what rounding with error feedback and the longer search for scales do to one block of many rows.
// Rows lie side by side: an array (n, stride) has a weight, a group or a level of all rows, then the next of all rows. `rows`
// is a multiple of 16, `stride` no less.

// How a block of a format is read: scale * value(level) - offset, where scale = d * code and offset = dmin * minimum are a
// group's.
struct quern_levels {
  int32_t elements, group;      // weights of a block, 256 at most, and of a group, 16 or 32
  float low, high;              // the first and the last value
  bool is_uniform;              // whether values rise by one; else they are those of IQ4, in groups of 32
  bool has_offset;
  bool has_codes;               // whether codes and minimums can be chosen
  int32_t code_low, code_high;  // those that can be stored
};

struct quern_scales {
  float *d, *dmin;            // (stride)
  int32_t *codes, *minimums;  // (groups, stride)
};

// Moves the scales of a block to where the weighted squared error is least. x (elements, stride), weights (elements) or, if
// every row has its own, (elements, stride).
void quern_refine_levels(const struct quern_levels *f, int64_t rows, const float *x, int64_t stride,
                         const float *weights, bool weighs_rows, const struct quern_scales *s, int rounds);

// The levels (elements, stride) nearest to x (elements, stride).
void quern_find_levels(const struct quern_levels *f, int64_t rows, const float *x, int64_t stride,
                       const struct quern_scales *s, uint8_t *levels);

// y[k] += coefficients[i][k] * errors[i] for every i below `count` in order; coefficients (count, weights) with `width`
// from row to row, errors (count, stride), y (weights, stride). `weights` is a multiple of 8.
void quern_take_up_errors(const float *coefficients, int64_t width, int64_t count, const float *errors, float *y,
                          int64_t weights, int64_t rows, int64_t stride);

// One block, its weights in the order of rounding but for `weights` and `levels`, which are in the order of the file.
struct quern_feedback {
  const float *coefficients;  // (elements, elements), `width` from row to row
  int64_t width;
  const int32_t *places;  // (elements): where each weight stands in the file
  const float *weights;   // (elements): what its error costs
  bool refines;           // whether a group's codes are chosen anew when its turn comes
  const float *target;    // (elements, stride): what to come close to
  float *y;               // (elements, stride): the same and what the errors before the block add to it; changed
  float *errors;          // (elements, stride): target less what is stored, 0 where not finite; written
  uint8_t *levels;        // (elements, stride); written
  double *loss;           // (stride): the weighted squared error of the block is added
};

// Rounds the weights of a block one by one, each error going to those after it; the groups of a block one after another.
void quern_round_levels(const struct quern_levels *f, const struct quern_feedback *block, int64_t rows, int64_t stride,
                        const struct quern_scales *s);

// The factor S of A = S^T S, S lower triangular, in binary64, some rows at a time from the last on; see clone/factor.h.

enum { QUERN_FACTOR_TILE = 16 };

// Subtracts what a strip of rows of S, which are done, comes to from rows 16 * row to 16 * row + 15 of A, up to the diagonal.
// strip (tiles, depth, 16): tile j holds columns 16 j to 16 j + 15 of the strip's rows, the last row first.
void quern_subtract_strip(const double *strip, int64_t depth, int64_t row, double *a, int64_t stride);

// Makes a tile of such a strip, holding what is left of A, into rows of S. corner (depth, depth): S in the strip's own
// columns, both in the strip's order.
void quern_solve_strip(const double *corner, int64_t depth, double *tile);
