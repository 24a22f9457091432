// IQ4_NL and IQ4_XS: four bits a weight that choose one of sixteen uneven levels.

static const float iq4_levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

// From here on the level above is the nearer one: the middles, which floats hold, and beside which a difference from either
// level is exact.
static const float iq4_middles[15] = {-115.5f, -93.5f, -74, -57, -42, -28.5f, -16, -4.5f, 7, 19, 31.5f, 45.5f, 61, 79, 101};

// The nearest level of each value; of NaN the last one.
INLINE vf iq4_nearest(vf v) {
  vf q = all(iq4_levels[0]);
  UNROLLED for (int i = 0; i < 15; i++) q = choose(v < iq4_middles[i], q, all(iq4_levels[i + 1]));
  return q;
}

// Its number.
INLINE vu iq4_code(vf v) {
  vu code = {};
  UNROLLED for (int i = 0; i < 15; i++) code -= (vu)~(v < iq4_middles[i]);
  return code;
}

// The two levels that a value can have while it shrinks by a ninth, and where it has the upper one.
struct iq4_pair {
  vf middle, below, above;
};

// Middles of one sign lie more than a ninth apart, so that none but the next one towards zero can be passed. NaN does not
// occur.
INLINE struct iq4_pair iq4_neighbours(vf v) {
  struct iq4_pair p = {all(iq4_middles[0]), all(iq4_levels[0]), all(iq4_levels[1])};
  UNROLLED for (int i = 1; i < 15; i++) {
    vi beyond = v >= iq4_middles[i < 8 ? i - 1 : i];
    p.middle = choose(beyond, all(iq4_middles[i]), p.middle);
    p.below = choose(beyond, all(iq4_levels[i]), p.below);
    p.above = choose(beyond, all(iq4_levels[i + 1]), p.above);
  }
  return p;
}

enum { IQ4_CANDIDATES = LANES == 16 ? 5 : 3 };  // side by side, as many as registers hold

// Sums of w q x and w q^2 for candidates that map `maximum` to -127 + step.
INLINE void iq4_candidates(int first_step, const vf *x, const vf *w, const struct iq4_pair *pairs, vf maximum, vf *xq,
                           vf *qq) {
  enum { N = IQ4_CANDIDATES };
  vf inverse[N], sum_xq[N], sum_qq[N];
  UNROLLED for (int c = 0; c < N; c++) {
    inverse[c] = (float)(first_step + c - 127) / maximum;
    sum_xq[c] = sum_qq[c] = (vf){};
  }
  for (int i = 0; i < 32; i++) {
    UNROLLED for (int c = 0; c < N; c++) {
      vf q = choose(inverse[c] * x[i] < pairs[i].middle, pairs[i].below, pairs[i].above);
      vf wq = w[i] * q;
      sum_xq[c] += wq * x[i];
      sum_qq[c] += wq * q;
    }
  }
  UNROLLED for (int c = 0; c < N; c++) {
    xq[c] = sum_xq[c];
    qq[c] = sum_qq[c];
  }
}

// x ~ scale * level for 32 values, a sub-block a lane.
INLINE vf iq4_search(const vf *x, const vf *w) {
  struct iq4_pair pairs[32];
  vi alive;
  vf maximum = extreme(32, x, 1, &alive);
  vf first = 1.0f / (maximum / 127.0f), largest = -134.0f / maximum;
  vf xq[15], qq[15], best_xq = {}, best_qq = {};
  for (int i = 0; i < 32; i++) {
    vf q = iq4_nearest(first * x[i]);
    vf wq = w[i] * q;
    best_xq += wq * x[i];
    best_qq += wq * q;
    pairs[i] = iq4_neighbours(largest * x[i]);
  }
  for (int c = 0; c < 15; c += IQ4_CANDIDATES) iq4_candidates(c - 7, x, w, pairs, maximum, xq + c, qq + c);

  vf scale = keep(best_qq > 0, best_xq / best_qq);
  vf best = scale * best_xq;
  UNROLLED for (int c = 0; c < 15; c++) {
    vi better = (qq[c] > 0) & (xq[c] * xq[c] > best * qq[c]);
    vf candidate = xq[c] / qq[c];
    scale = choose(better, candidate, scale);
    best = choose(better, candidate * xq[c], best);
  }
  return keep(alive, scale);
}

// Where the divisor is zero, zero; NaN stays NaN.
INLINE vf iq4_inverse(vf scale) { return keep(scale != 0, 1.0f / scale); }

INLINE void iq4_store(const float *x, float inverse, uint8_t *out) {
  vu l[32 / LANES];
  UNROLLED for (int c = 0; c < 32 / LANES; c++) l[c] = iq4_code(inverse * load(x + LANES * c));
  store_nibbles(l, 4, out);
}

// 1. d; 2. qs, 16 bytes. w = d levels[q].
INLINE void batch_iq4_NL(const float *x, uint8_t *out, int count, const float *const *importance) {
  vf x_columns[32], w_columns[32];
  load_columns(x, 32, 1, x_columns);
  vf sum = {};
  for (int i = 0; i < 32; i++) {
    w_columns[i] = x_columns[i] * x_columns[i];
    sum += w_columns[i];
  }
  if (importance) {
    float weights[32 * LANES];
    for (int k = 0; k < LANES; k++) __builtin_memcpy(weights + 32 * k, importance[k], 128);
    vf variance = sum * 0.0625f, of_column[32];
    load_columns(weights, 32, 1, of_column);
    for (int i = 0; i < 32; i++) w_columns[i] = of_column[i] * __builtin_elementwise_sqrt(variance + w_columns[i]);
  }
  vf scale = iq4_search(x_columns, w_columns);
  uint16_t half[LANES];
  float value[LANES], inverse[LANES];
  round_to_half(scale, half, value);
  store(inverse, iq4_inverse(scale));
  for (int k = 0; k < count; k++, out += 18) {
    __builtin_memcpy(out, half + k, 2);
    iq4_store(x + 32 * k, inverse[k], out + 2);
  }
}

// 1. d; 2. scales_h, 16 bits; 3. scales_l, 4 bytes; 4. qs, 128 bytes. w = d (s - 32) levels[q], in groups of 32.
static void batch_iq4_XS(const float *x, uint8_t *out, int count, const float *const *importance) {
  vf x_columns[32], w_columns[32];
  float found[8 * LANES], variance[LANES], weights[256 * LANES];
  if (importance) {
    // Multiplied once, by a power of two, so that only the sum can overflow.
    store(variance, sum_squares(x) * 0.0078125f);
    for (int k = 0; k < LANES; k++) importance_weights(x + 256 * k, importance[k], variance[k], weights + 256 * k);
  }
  for (int at = 0; at < 8 * LANES; at += LANES) {
    load_columns(x + 32 * at, 32, 1, x_columns);
    if (importance) {
      load_columns(weights + 32 * at, 32, 1, w_columns);
    } else {
      for (int i = 0; i < 32; i++) w_columns[i] = x_columns[i] * x_columns[i];
    }
    store(found + at, iq4_search(x_columns, w_columns));
  }

  vf scales[8];
  vi alive;
  by_super_block(8, found, scales);
  vf d = -extreme(8, scales, 1, &alive) / 32.0f;
  vf inverse = iq4_inverse(d);
  uint16_t half[LANES];
  float value[LANES], inverses[8][LANES];
  uint8_t codes[8][LANES];
  round_to_half(d, half, value);
  for (int j = 0; j < 8; j++) {
    vu bits = clamped_bits(rounded_bits(inverse * scales[j]), -32, 31);
    store(inverses[j], iq4_inverse(d * integer(bits)));
    store_bytes(codes[j], bits + 32u);
  }
  for (int b = 0; b < count; b++, out += 136) {
    uint32_t low = 0;
    uint16_t high = 0;
    for (int j = 0; j < 8; j++) {
      low |= (uint32_t)(codes[j][b] & 15) << 4 * j;
      high |= (uint16_t)(codes[j][b] >> 4 << 2 * j);
      iq4_store(x + 256 * b + 32 * j, inverses[j][b], out + 8 + 16 * j);
    }
    __builtin_memcpy(out, half + b, 2);
    __builtin_memcpy(out + 2, &high, 2);
    __builtin_memcpy(out + 4, &low, 4);
  }
}

static void quantize_iq4_NL(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  batches(batch_iq4_NL, 32, 18, x, out, rows, columns, NULL);
}

static void quantize_iq4_NL_weighted(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  batches(batch_iq4_NL, 32, 18, x, out, rows, columns, importance);
}

static void quantize_iq4_XS(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  super_blocks(batch_iq4_XS, 136, x, out, rows, columns, NULL);
}

static void quantize_iq4_XS_weighted(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  super_blocks(batch_iq4_XS, 136, x, out, rows, columns, importance);
}
