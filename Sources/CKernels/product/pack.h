// Rows become words [k][row], so that what is multiplied together lies together.

// The upper halves of binary32 numbers, to nearest even, in place; denormal numbers become zeros, NaN are made quiet.
INLINE vu upper_half(vf v) {
  vu bits = (vu)flushed(v);
  vu rounded = bits + 0x7fffu + (bits >> 16 & 1);
  vu nan = (vu)((vi)(bits & 0x7fffffffu) > 0x7f800000);
  return ((nan & (bits | 0x00400000u)) | (~nan & rounded)) & 0xffff0000u;
}

#if LANES == 16
#define EVEN 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODD 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#elif LANES == 8
#define EVEN 0, 2, 4, 6, 8, 10, 12, 14
#define ODD 1, 3, 5, 7, 9, 11, 13, 15
#else
#define EVEN 0, 2, 4, 6
#define ODD 1, 3, 5, 7
#endif

// LANES words of a row.
INLINE vf words(int per_word, const float *x) {
  if (per_word == 1) return load(x);
  vu a = upper_half(load(x)), b = upper_half(load(x + LANES));
  return (vf)(__builtin_shufflevector(a, b, EVEN) >> 16 | __builtin_shufflevector(a, b, ODD));
}

INLINE uint32_t word(int per_word, const float *x, int64_t k, int64_t columns) {
  if (per_word == 1) return __builtin_bit_cast(uint32_t, x[k]);
  uint32_t low = upper_half(all(x[2 * k]))[0] >> 16;
  return 2 * k + 1 < columns ? upper_half(all(x[2 * k + 1]))[0] | low : low;
}

// x (rows <= width, columns) -> out (depth, width). Behind `out` up to LANES words more are written.
INLINE void pack_group(
    int per_word, int width, const float *x, int64_t stride, int64_t rows, int64_t columns, uint32_t *out) {
  int64_t whole = columns / (per_word * LANES) * LANES, depth = (columns + per_word - 1) / per_word;
  for (int64_t k = 0; k < whole; k += LANES) {
    // Parts of LANES rows. A vector reaches into the next k, whose own is stored later.
    vf r[(QUERN_PRODUCT_COLUMNS + LANES - 1) / LANES][LANES];
    UNROLLED for (int part = 0; part * LANES < width; part++) {
      UNROLLED for (int i = 0; i < LANES; i++) {
        int row = part * LANES + i;
        r[part][i] = row < rows ? words(per_word, x + row * stride + k * per_word) : (vf){};
      }
      transpose(r[part]);
    }
    UNROLLED for (int i = 0; i < LANES; i++) {
      UNROLLED for (int part = 0; part * LANES < width; part++) {
        store((float *)out + (k + i) * width + part * LANES, r[part][i]);
      }
    }
  }
  for (int64_t k = whole; k < depth; k++) {
    for (int row = 0; row < width; row++) {
      out[k * width + row] = row < rows ? word(per_word, x + row * stride, k, columns) : 0;
    }
  }
}

// a (rows, columns) -> groups of `width` rows, (depth, width) each.
INLINE void pack_groups(
    int width, enum quern_arithmetic arithmetic, const float *a, int64_t stride, int64_t rows, int64_t columns,
    uint32_t *out, int64_t depth) {
  for (int64_t row = 0; row < rows; row += width) {
    int64_t count = rows - row < width ? rows - row : width;
    const float *x = a + row * stride;
    uint32_t *group = out + row * depth;
    if (arithmetic == QUERN_ARITHMETIC_BF16) pack_group(2, width, x, stride, count, columns, group);
    else if (count == width) pack_group(1, width, x, stride, width, columns, group);
    else pack_group(1, width, x, stride, count, columns, group);
  }
}

static void pack_rows(
    enum quern_arithmetic arithmetic, const float *a, int64_t stride, int64_t rows, int64_t columns, uint32_t *out,
    int64_t depth) {
  pack_groups(ROWS, arithmetic, a, stride, rows, columns, out, depth);
}

static void pack_panels(
    enum quern_arithmetic arithmetic, const float *w, int64_t stride, int64_t rows, int64_t columns, uint32_t *panels,
    int64_t depth) {
  pack_groups(COLUMNS, arithmetic, w, stride, rows, columns, panels, depth);
}

static void pack_transposed(
    const float *w, int64_t stride, int64_t rows, int64_t columns, uint32_t *panels, int64_t depth) {
  for (int64_t row = 0; row < rows; row += COLUMNS) {
    int64_t count = rows - row < COLUMNS ? rows - row : COLUMNS;
    for (int64_t k = 0; k < columns; k++) {
      uint32_t *place = panels + row * depth + k * COLUMNS;
      if (count < COLUMNS) __builtin_memset(place, 0, COLUMNS * 4);
      __builtin_memcpy(place, w + k * stride + row, count == COLUMNS ? COLUMNS * 4 : (size_t)count * 4);
    }
  }
}
