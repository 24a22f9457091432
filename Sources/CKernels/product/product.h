// Products of matrices, included once by each product_*.c, which defines
//   CLONE         its name
//   LANES         floats in a vector
//   PART_ROWS     rows of a tile that are multiplied together: a divisor of QUERN_PRODUCT_ROWS
//   PART_VECTORS  vectors of a panel that are: a divisor of QUERN_PRODUCT_COLUMNS / LANES
//   HAS_FMA       whether the set has a fused multiply-add
//   HAS_BF16      whether it multiplies pairs of BF16
//
// A lane holds one element of the result and adds its products in the order that products.h says.

#pragma STDC FP_CONTRACT OFF

#include "../clone/lanes.h"

enum { ROWS = QUERN_PRODUCT_ROWS, COLUMNS = QUERN_PRODUCT_COLUMNS, DEPTH = QUERN_PRODUCT_DEPTH };

// a b + c, rounded once.
INLINE vf fused(vf a, vf b, vf c) {
#if HAS_FMA
  return __builtin_elementwise_fma(a, b, c);
#else
  // The product is exact in binary64. The sum is rounded to odd there, so that rounding it again is as rounding once.
  typedef double vd __attribute__((vector_size(8 * LANES)));
  typedef int64_t vl __attribute__((vector_size(8 * LANES)));
  vd p = __builtin_convertvector(a, vd) * __builtin_convertvector(b, vd), d = __builtin_convertvector(c, vd);
  vd s = p + d, back = s - p;
  vd error = (p - (s - back)) + (d - back);
  vl inexact = (error > 0) | (error < 0), away = ((error > 0) == (s > 0));
  s = (vd)((vl)s + (inexact & (((vl)s & 1) - 1) & ((away & 2) - 1)));
  return __builtin_convertvector(s, vf);
#endif
}

// Denormal numbers become zeros of their sign.
INLINE vf flushed(vf a) { return (vf)((vu)a & (0x80000000u | (vu)(((vi)a & 0x7f800000) != 0))); }

// What a tile is multiplied with: sum[r][v] += a[r] b[v], k after k.
typedef vf tile_sums[PART_ROWS][PART_VECTORS];

INLINE void add_f32(int64_t depth, const uint32_t *a, const uint32_t *b, tile_sums sum) {
  for (int64_t k = 0; k < depth; k++, a += ROWS, b += COLUMNS) {
    vf w[PART_VECTORS];
    UNROLLED for (int v = 0; v < PART_VECTORS; v++) w[v] = load((const float *)b + v * LANES);
    UNROLLED for (int r = 0; r < PART_ROWS; r++) {
      vf x = all(((const float *)a)[r]);
      UNROLLED for (int v = 0; v < PART_VECTORS; v++) sum[r][v] = fused(x, w[v], sum[r][v]);
    }
  }
}

INLINE void add_bf16(int64_t depth, const uint32_t *a, const uint32_t *b, tile_sums sum) {
#if HAS_BF16
  typedef __bf16 pairs __attribute__((vector_size(64)));
  for (int64_t k = 0; k < depth; k++, a += ROWS, b += COLUMNS) {
    pairs w[PART_VECTORS];
    UNROLLED for (int v = 0; v < PART_VECTORS; v++) w[v] = (pairs)load((const float *)b + v * LANES);
    UNROLLED for (int r = 0; r < PART_ROWS; r++) {
      pairs x = (pairs)((vu){} + a[r]);
      UNROLLED for (int v = 0; v < PART_VECTORS; v++) sum[r][v] = __builtin_ia32_dpbf16ps_512(sum[r][v], x, w[v]);
    }
  }
#else
  for (int64_t k = 0; k < depth; k++, a += ROWS, b += COLUMNS) {
    vu w[PART_VECTORS];
    UNROLLED for (int v = 0; v < PART_VECTORS; v++) w[v] = (vu)load((const float *)b + v * LANES);
    UNROLLED for (int r = 0; r < PART_ROWS; r++) {
      vu x = (vu){} + a[r];
      UNROLLED for (int v = 0; v < PART_VECTORS; v++) {
        vf odd = flushed(fused((vf)(x & 0xffff0000u), (vf)(w[v] & 0xffff0000u), sum[r][v]));
        sum[r][v] = flushed(fused((vf)(x << 16), (vf)(w[v] << 16), odd));
      }
    }
  }
#endif
}

INLINE void store_sums(tile_sums sum, float scale, bool adding, float *y, int64_t stride) {
  UNROLLED for (int r = 0; r < PART_ROWS; r++) {
    UNROLLED for (int v = 0; v < PART_VECTORS; v++) {
      float *place = y + r * stride + v * LANES;
      vf scaled = sum[r][v] * scale;
      store(place, adding ? load(place) + scaled : scaled);
    }
  }
}

#define TILE_KERNEL(name, add) \
  static void name( \
      int64_t depth, const uint32_t *a, const uint32_t *b, float scale, bool adding, float *y, int64_t stride) { \
    for (int row = 0; row < ROWS; row += PART_ROWS) { \
      for (int column = 0; column < COLUMNS; column += PART_VECTORS * LANES) { \
        tile_sums sum = {}; \
        add(depth, a + row, b + column, sum); \
        store_sums(sum, scale, adding, y + row * stride + column, stride); \
      } \
    } \
  }

TILE_KERNEL(tile_f32, add_f32)
TILE_KERNEL(tile_bf16, add_bf16)

#include "pack.h"

typedef void tile_kernel(
    int64_t depth, const uint32_t *a, const uint32_t *b, float scale, bool adding, float *y, int64_t stride);

// A tile at the edge of y is computed beside it.
INLINE void edge_tile(
    tile_kernel *kernel, int64_t depth, const uint32_t *a, const uint32_t *b, float scale, bool adding, float *y,
    int64_t stride, int64_t rows, int64_t columns) {
  float whole[ROWS * COLUMNS] __attribute__((aligned(64)));
  kernel(depth, a, b, scale, false, whole, COLUMNS);
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t c = 0; c < columns; c++) {
      float *place = y + r * stride + c, value = whole[r * COLUMNS + c];
      *place = adding ? *place + value : value;
    }
  }
}

// A block of k of a stripe of rows is packed, and multiplied with the same block of one panel after another.
static void multiply(const struct quern_product *p, tile_kernel *kernel) {
  int per_word = p->arithmetic == QUERN_ARITHMETIC_BF16 ? 2 : 1;
  int64_t words = (p->k + per_word - 1) / per_word;
  for (int64_t word = 0; word == 0 || word < words; word += DEPTH) {
    int64_t depth = words - word < DEPTH ? words - word : DEPTH;
    int64_t first = word * per_word, columns = p->k - first < depth * per_word ? p->k - first : depth * per_word;
    bool adding = p->adding || word > 0;
    for (int64_t top = 0; top < p->m; top += QUERN_PRODUCT_TILE) {
      int64_t rows = p->m - top < QUERN_PRODUCT_TILE ? p->m - top : QUERN_PRODUCT_TILE;
      pack_rows(p->arithmetic, p->a + top * p->a_stride + first, p->a_stride, rows, columns, p->scratch, depth);
      for (int64_t column = 0; column < p->n; column += COLUMNS) {
        const uint32_t *b = p->panels + column / COLUMNS * p->panel_stride + word * COLUMNS;
        int64_t width = p->n - column < COLUMNS ? p->n - column : COLUMNS;
        for (int64_t row = 0; row < rows; row += ROWS) {
          const uint32_t *a = p->scratch + row * depth;
          float *y = p->y + (top + row) * p->y_stride + column;
          int64_t height = rows - row < ROWS ? rows - row : ROWS;
          if (height == ROWS && width == COLUMNS) kernel(depth, a, b, p->scale, adding, y, p->y_stride);
          else edge_tile(kernel, depth, a, b, p->scale, adding, y, p->y_stride, height, width);
        }
      }
    }
  }
}

static void multiply_f32(const struct quern_product *p) { multiply(p, tile_f32); }
static void multiply_bf16(const struct quern_product *p) { multiply(p, tile_bf16); }

#define JOINED(a, b) a##b
#define NAMED(a, b) JOINED(a, b)

const struct quern_products NAMED(quern_products_, CLONE) = {
    .has_bf16 = HAS_BF16,
    .multiply = {multiply_f32, multiply_bf16},
    .pack = pack_panels,
    .pack_transposed = pack_transposed,
};
