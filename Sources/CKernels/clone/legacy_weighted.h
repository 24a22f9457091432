// Blocks of 32 with one scale, searched with importance weights. Their variance is that of the row.

// Mean of the squares of each of `rows` rows, at most LANES, summed in order.
INLINE void row_variances(const float *x, int rows, int64_t columns, float *variance) {
  const float *row[LANES];
  for (int k = 0; k < LANES; k++) row[k] = x + (k < rows ? k : 0) * columns;
  vf sum = {};
  for (int64_t c = 0; c < columns; c += LANES) {
    vf r[LANES];
    UNROLLED for (int k = 0; k < LANES; k++) r[k] = load(row[k] + c);
    transpose(r);
    UNROLLED for (int k = 0; k < LANES; k++) sum += r[k] * r[k];
  }
  store(variance, sum / (float)columns);
}

enum { WEIGHTED_BLOCKS = GROUPS * LANES };

// x, weights (WEIGHTED_BLOCKS, 32).
struct weighted_batch {
  float x[32 * WEIGHTED_BLOCKS], weights[32 * WEIGHTED_BLOCKS];
  vf x_columns[32 * GROUPS + 1], w_columns[32 * GROUPS + 3], other_columns[32 * GROUPS + 5];
};

INLINE void weighted_levels(const float *x, int bits, float inverse, float low, int bottom, int top, uint8_t *out) {
  vu l[32 / LANES];
  UNROLLED for (int c = 0; c < 32 / LANES; c++) {
    l[c] = clamped_bits(rounded_bits(inverse * (load(x + LANES * c) - low)), bottom, top) - (uint32_t)bottom;
  }
  store_nibbles(l, bits, out);
}

INLINE void weighted_symmetric(int bits, struct weighted_batch *s, uint8_t *out, int count) {
  const int n = 1 << (bits - 1), bytes = 2 + 4 * (bits - 4) + 16;
  for (int i = 0; i < 32 * GROUPS; i++) s->other_columns[i] = s->w_columns[i] * s->x_columns[i];
  for (int g = 0; g < GROUPS; g++) {
    struct symmetric r = symmetric_search(32, n, false, s->x_columns + g, s->w_columns + g, s->other_columns + g, GROUPS);
    uint16_t half[LANES];
    float value[LANES], inverse[LANES];
    int32_t alive[LANES];
    round_to_half(r.scale, half, value);
    store(inverse, r.inverse);
    __builtin_memcpy(alive, &r.alive, sizeof alive);
    for (int k = 0; k < LANES && g * LANES + k < count; k++, out += bytes) {
      __builtin_memcpy(out, half + k, 2);
      if (alive[k]) {
        weighted_levels(s->x + 32 * (g * LANES + k), bits, inverse[k], 0, -n, n - 1, out + 2);
      } else {
        __builtin_memset(out + 2, 0, (size_t)bytes - 2);
      }
    }
  }
}

INLINE void weighted_affine(int bits, struct weighted_batch *s, uint8_t *out, int count) {
  const int top = (1 << bits) - 1, bytes = 4 + 4 * (bits - 4) + 16;
  struct affine r[GROUPS];
  affine_search((struct affine_plan){32, (float)top, -0.9f, 0.05f, 36, false}, s->x_columns, s->w_columns,
                s->other_columns, r);
  for (int g = 0; g < GROUPS; g++) {
    uint16_t half[2][LANES];
    float value[LANES], inverse[LANES], low[LANES];
    round_to_half(r[g].scale, half[0], value);
    round_to_half(-r[g].minimum, half[1], value);
    store(inverse, r[g].inverse);
    store(low, r[g].low);
    for (int k = 0; k < LANES && g * LANES + k < count; k++, out += bytes) {
      __builtin_memcpy(out, half[0] + k, 2);
      __builtin_memcpy(out + 2, half[1] + k, 2);
      weighted_levels(s->x + 32 * (g * LANES + k), bits, inverse[k], low[k], 0, top, out + 4);
    }
  }
}

// Rows in panels of LANES, whose blocks fill batches across rows. The last batch of a panel keeps what it had.
INLINE void weighted_blocks(bool affine, int bits, const float *x, uint8_t *out, int64_t rows, int64_t columns,
                            const float *importance) {
  const int bytes = (affine ? 4 : 2) + 4 * (bits - 4) + 16;
  struct weighted_batch s;
  __builtin_memset(s.x, 0, sizeof s.x);
  __builtin_memset(s.weights, 0, sizeof s.weights);
  for (int64_t first = 0; first < rows; first += LANES) {
    int panel = rows - first < LANES ? (int)(rows - first) : LANES;
    float variance[LANES];
    row_variances(x, panel, columns, variance);
    int row = 0;
    int64_t column = 0;
    for (int64_t left = panel * (columns / 32); left > 0;) {
      int count = left < WEIGHTED_BLOCKS ? (int)left : WEIGHTED_BLOCKS;
      for (int k = 0; k < count; k++, x += 32) {
        for (int i = 0; i < 32; i += LANES) {
          vf v = load(x + i);
          store(s.x + 32 * k + i, v);
          store(s.weights + 32 * k + i,
                load(importance + column + i) * __builtin_elementwise_sqrt(variance[row] + v * v));
        }
        column += 32;
        if (column == columns) {
          column = 0;
          row++;
        }
      }
      load_columns(s.x, 32, GROUPS, s.x_columns);
      load_columns(s.weights, 32, GROUPS, s.w_columns);
      if (affine) {
        weighted_affine(bits, &s, out, count);
      } else {
        weighted_symmetric(bits, &s, out, count);
      }
      out += bytes * count;
      left -= count;
    }
  }
}

static void quantize_q4_0_weighted(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  weighted_blocks(false, 4, x, out, rows, columns, importance);
}

static void quantize_q5_0_weighted(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  weighted_blocks(false, 5, x, out, rows, columns, importance);
}

static void quantize_q4_1_weighted(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  weighted_blocks(true, 4, x, out, rows, columns, importance);
}

static void quantize_q5_1_weighted(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  weighted_blocks(true, 5, x, out, rows, columns, importance);
}
