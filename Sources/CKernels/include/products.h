// Products of matrices: y (m, n) = scale · a (m, k) wᵀ, where w (n, k) was packed into panels before.
//
// In F32 arithmetic an element is summed by fused multiply-adds in the order of k, in blocks of QUERN_PRODUCT_DEPTH that are
// added one after another. In BF16 arithmetic a and w are rounded to BF16; pairs of products are added, the odd one first, by
// fused multiply-adds that take and give zero for denormal numbers: what the instruction vdpbf16ps does. A block is
// QUERN_PRODUCT_DEPTH pairs there. Neither the instruction set nor the division of the work changes a bit of it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum quern_arithmetic { QUERN_ARITHMETIC_F32, QUERN_ARITHMETIC_BF16 };

enum {
  QUERN_PRODUCT_ROWS = 12,      // rows of `a` that are multiplied together
  QUERN_PRODUCT_COLUMNS = 32,   // rows of `w` in a panel
  QUERN_PRODUCT_DEPTH = 256,    // words of 4 bytes of k in a block: a float, or a pair of BF16
  QUERN_PRODUCT_TILE = 43 * QUERN_PRODUCT_ROWS,
  // Words of scratch space.
  QUERN_PRODUCT_SCRATCH = QUERN_PRODUCT_TILE * QUERN_PRODUCT_DEPTH + 64,
};

// A panel is `k` words for each of 32 rows of w, k after k: word [k][row]. In BF16 a word holds two values of a row, the one of
// lower k in its lower half. Rows that w has not are zero.

// w (rows, columns), `stride` floats from row to row -> panels of `depth` words of k. With BF16 an
// odd last column is paired with zero.
void quern_pack(
    enum quern_arithmetic arithmetic, const float *w, int64_t stride, int64_t rows, int64_t columns, uint32_t *panels,
    int64_t depth);

// The same of w given as its transpose, (columns, rows). F32 only.
void quern_pack_transposed(
    const float *w, int64_t stride, int64_t rows, int64_t columns, uint32_t *panels, int64_t depth);

struct quern_product {
  const float *a;            // (m, k), a_stride floats from row to row
  const uint32_t *panels;    // of w (n, k)
  float *y;                  // (m, n), y_stride floats from row to row
  uint32_t *scratch;         // QUERN_PRODUCT_SCRATCH words
  int64_t m, n, k;
  int64_t a_stride, panel_stride, y_stride;  // panel_stride: words from panel to panel
  float scale;
  bool adding;               // whether y is added to
  enum quern_arithmetic arithmetic;
};

void quern_multiply(const struct quern_product *product);

// Whether BF16 products use an instruction for them; else they are some ten times slower than F32.
bool quern_products_have_bf16(void);
