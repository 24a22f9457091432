// The factor of a symmetric matrix in binary64, S of A = S^T S, lower triangular, row after row from the last to the first:
// every product is rounded, and subtracted from its element in the order of the rows that it comes from.
//
// Rows that are done come as a strip: tiles of 16 columns, (depth, 16) each, the last row of the matrix first.

enum { STRIP = QUERN_FACTOR_TILE, SUBTRAHENDS = LANES == 16 ? 8 : 4 };

// Not functions: vectors wider than a register are no arguments.
#define LOAD_DOUBLES(v, p) __builtin_memcpy(&(v), p, sizeof(v))
#define STORE_DOUBLES(p, v) __builtin_memcpy(p, &(v), sizeof(v))

// c -= a^T b: a and b tiles of the strip, c 16 rows of 16.
INLINE void subtract_tile(const double *a, const double *b, int64_t depth, double *c, int64_t stride) {
  for (int row = 0; row < STRIP; row += SUBTRAHENDS) {
    for (int column = 0; column < STRIP; column += LANES) {
      double *place = c + row * stride + column;
      vd rest[SUBTRAHENDS];
      UNROLLED for (int r = 0; r < SUBTRAHENDS; r++) LOAD_DOUBLES(rest[r], place + r * stride);
      for (int64_t k = 0; k < depth; k++) {
        vd w;
        LOAD_DOUBLES(w, b + k * STRIP + column);
        UNROLLED for (int r = 0; r < SUBTRAHENDS; r++) rest[r] -= a[k * STRIP + row + r] * w;
      }
      UNROLLED for (int r = 0; r < SUBTRAHENDS; r++) STORE_DOUBLES(place + r * stride, rest[r]);
    }
  }
}

// The tile of rows number `row` of a, up to the diagonal.
static void subtract_strip(const double *strip, int64_t depth, int64_t row, double *a, int64_t stride) {
  for (int64_t column = 0; column <= row; column++) {
    subtract_tile(strip + row * depth * STRIP, strip + column * depth * STRIP, depth,
                  a + row * STRIP * stride + column * STRIP, stride);
  }
}

// One tile of the strip, from what is left of A's rows to rows of S. `corner` (depth, depth): of the strip's own columns,
// [i][k] = S[i][k] for row k after row i in the strip's order.
static void solve_strip(const double *corner, int64_t depth, double *tile) {
  for (int64_t k = 0; k < depth; k++) {
    vd rest[STRIP / LANES];
    UNROLLED for (int v = 0; v < STRIP / LANES; v++) LOAD_DOUBLES(rest[v], tile + k * STRIP + v * LANES);
    for (int64_t i = 0; i < k; i++) {
      double factor = corner[i * depth + k];
      UNROLLED for (int v = 0; v < STRIP / LANES; v++) {
        vd done;
        LOAD_DOUBLES(done, tile + i * STRIP + v * LANES);
        rest[v] -= factor * done;
      }
    }
    double pivot = corner[k * depth + k];
    UNROLLED for (int v = 0; v < STRIP / LANES; v++) {
      rest[v] /= pivot;
      STORE_DOUBLES(tile + k * STRIP + v * LANES, rest[v]);
    }
  }
}

#undef LOAD_DOUBLES
#undef STORE_DOUBLES
