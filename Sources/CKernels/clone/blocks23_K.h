// Groups of 16 with 2 and 3 bits.

// Importance weights of the sub-blocks from `at` on, by columns. `weights` holds at least a super-block.
INLINE void importance_columns(const float *x, int at, const float *const *importance, const float *variance,
                               float *weights, vf *w) {
  enum { N = 16, STEP = GROUPS * LANES };
  if (at % 16 == 0) {
    for (int b = 0; b * 16 < STEP; b++) {
      int block = at / 16 + b;
      importance_weights(x + 256 * block, importance[block], variance[block], weights + 256 * b);
    }
  }
  load_columns(weights + at % 16 * N, N, GROUPS, w);
}

// Q2_K: 1. scales, 16 bytes: scale below, min above; 2. qs, 64 bytes; 3. d; 4. dmin.
static void batch_q2_K(const float *x, uint8_t *out, int count, const float *const *importance) {
  enum { N = 16, STEP = GROUPS * LANES };
  struct {
    vf x[N * GROUPS + 1], w[N * GROUPS + 3], l[N * GROUPS + 5];
    struct affine_found found;
    float weights[STEP < 16 ? 256 : STEP * N];
  } s;
  float variance[LANES];
  if (importance) store(variance, mean_squares(x, 1.0f));
  for (int at = 0; at < 16 * LANES; at += STEP) {
    struct affine r[GROUPS];
    load_columns(x + at * N, N, GROUPS, s.x);
    if (importance) {
      importance_columns(x, at, importance, variance, s.weights, s.w);
      affine_search((struct affine_plan){N, 3, -0.9f, 0.05f, 36, false}, s.x, s.w, s.l, r);
    } else {
      for (int i = 0; i < N * GROUPS; i++) s.w[i] = magnitude(s.x[i]);
      affine_search((struct affine_plan){N, 3, -0.5f, 0.1f, 15, true}, s.x, s.w, s.l, r);
    }
    keep_affine(&s.found, at, r);
  }

  vf values[32], d[2];
  vu levels[32];
  by_super_block(16, s.found.scale, values);
  by_super_block(16, s.found.minimum, values + 16);
  if (importance) {
    vf weight[16];
    by_super_block(16, s.found.weight, weight);
    positive_search(2, 16, 15, values, weight, levels, d);
  } else {
    for (int set = 0; set < 2; set++) {
      vf maximum = {};
      for (int j = 0; j < 16; j++) maximum = larger(values[16 * set + j], maximum);
      vf inverse = keep(maximum > 0, 15.0f / maximum);
      for (int j = 0; j < 16; j++) levels[16 * set + j] = rounded_bits(inverse * values[16 * set + j]);
      d[set] = maximum / 15.0f;
    }
  }
  uint8_t scales[16][LANES];
  for (int j = 0; j < 16; j++) store_bytes(scales[j], levels[j] | levels[16 + j] << 4);
  uint16_t half[2][LANES];
  float value[2][LANES];
  for (int set = 0; set < 2; set++) round_to_half(d[set], half[set], value[set]);

  for (int b = 0; b < count; b++, out += 84) {
    uint8_t l[256];
    for (int j = 0; j < 16; j++) {
      uint8_t scale = scales[j][b];
      float dj = value[0][b] * (float)(scale & 0xF);
      const float *xj = x + 256 * b + N * j;
      if (UNLIKELY(dj == 0)) {
        kept_levels(N, xj, s.found.inverse[16 * b + j], s.found.low[16 * b + j], 0, 3, 0, l + N * j);
      } else {
        final_levels(N, xj, dj, value[1][b] * (float)(scale >> 4), 0, 3, 0, l + N * j);
      }
      out[j] = scale;
    }
    pack_pairs(l, out + 16);
    __builtin_memcpy(out + 80, half[0] + b, 2);
    __builtin_memcpy(out + 82, half[1] + b, 2);
  }
}

static void quantize_q2_K(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  super_blocks(batch_q2_K, 84, x, out, rows, columns, NULL);
}

static void quantize_q2_K_weighted(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  super_blocks(batch_q2_K, 84, x, out, rows, columns, importance);
}

// Q3_K: 1. hmask, 32 bytes; 2. qs, 64 bytes; 3. scales, 12 bytes; 4. d.

INLINE void pack_3(const uint8_t *l, const uint8_t *scales, uint8_t *out) {
  uint8_t low[256];
  for (int i = 0; i < 256; i++) low[i] = l[i] & 3;
  for (int i = 0; i < 32; i++) {
    uint8_t mask = 0;
    UNROLLED for (int plane = 0; plane < 8; plane++) mask |= (uint8_t)((l[32 * plane + i] >> 2) << plane);
    out[i] = mask;
  }
  pack_pairs(low, out + 32);
  for (int j = 0; j < 8; j++) out[96 + j] = (uint8_t)((scales[j] & 0xF) | (scales[j + 8] & 0xF) << 4);
  for (int j = 0; j < 4; j++) {
    out[104 + j] = (uint8_t)(scales[j] >> 4 | (scales[j + 4] >> 4) << 2 | (scales[j + 8] >> 4) << 4 |
                             (scales[j + 12] >> 4) << 6);
  }
}

struct found_3 {
  struct symmetric_found symmetric;
  uint8_t levels[16 / REFINED_GROUPS][16][REFINED_GROUPS * LANES];  // of the unweighted search
};

INLINE void search_3(const float *x, struct found_3 *found) {
  enum { N = 16, G = REFINED_GROUPS };
  vf columns[N * G + 1], levels[N * G + 3];
  for (int at = 0; at < 16 * LANES; at += G * LANES) {
    struct symmetric r[G];
    load_columns(x + at * N, N, G, columns);
    refined_search(N, 4, columns, levels, r);
    keep_symmetric(&found->symmetric, at, G, r);
    for (int g = 0; g < G; g++) {
      for (int i = 0; i < N; i++) {
        vu level = ((vu)(levels[i * G + g] + ROUNDER) + 4u) & (vu)r[g].alive;
        store_bytes(found->levels[at / (G * LANES)][i] + g * LANES, level);
      }
    }
  }
}

INLINE void search_3_weighted(const float *x, const float *const *importance, struct found_3 *found) {
  enum { N = 16, STEP = GROUPS * LANES };
  struct {
    vf x[N * GROUPS + 1], w[N * GROUPS + 3], wx[N * GROUPS + 5];
    float weights[STEP < 16 ? 256 : STEP * N];
  } s;
  float variance[LANES];
  store(variance, mean_squares(x, 2.0f));
  for (int at = 0; at < 16 * LANES; at += STEP) {
    struct symmetric r[GROUPS];
    load_columns(x + at * N, N, GROUPS, s.x);
    importance_columns(x, at, importance, variance, s.weights, s.w);
    for (int i = 0; i < N * GROUPS; i++) s.wx[i] = s.w[i] * s.x[i];
    for (int g = 0; g < GROUPS; g++) {
      vf sum = {};
      for (int i = 0; i < N; i++) sum += s.w[i * GROUPS + g];
      store(found->symmetric.weight + at + g * LANES, sum);
      r[g] = symmetric_search(N, 4, false, s.x + g, s.w + g, s.wx + g, GROUPS);
    }
    keep_symmetric(&found->symmetric, at, GROUPS, r);
  }
}

static void batch_q3_K(const float *x, uint8_t *out, int count, const float *const *importance) {
  enum { N = 16 };
  struct found_3 found;
  if (importance) {
    search_3_weighted(x, importance, &found);
  } else {
    search_3(x, &found);
  }

  vf values[16], d;
  vu levels[16];
  by_super_block(16, found.symmetric.scale, values);
  if (importance) {
    vf weight[16], product[16];
    by_super_block(16, found.symmetric.weight, weight);
    for (int j = 0; j < 16; j++) product[j] = weight[j] * values[j];
    struct symmetric r = symmetric_search(16, 32, true, values, weight, product, 1);
    for (int j = 0; j < 16; j++) {
      levels[j] = (clamped_bits(rounded_bits(r.inverse * values[j]), -32, 31) + 32u) & (vu)r.alive;
    }
    d = r.scale;
  } else {
    vi alive;
    vf maximum = extreme(16, values, 1, &alive);
    vi exists = maximum != 0;
    vf inverse = -32.0f / maximum;
    for (int j = 0; j < 16; j++) {
      // The nearest integer is cut to eight bits before it is clamped.
      vi cut = (vi)(rounded_bits(inverse * values[j]) << 24) >> 24;
      cut = __builtin_elementwise_min(__builtin_elementwise_max(cut, (vi){} - 32), (vi){} + 31) + 32;
      levels[j] = (vu)(cut & exists);
    }
    d = keep(exists, 1.0f / inverse);
  }
  uint8_t scales[16][LANES];
  for (int j = 0; j < 16; j++) store_bytes(scales[j], levels[j]);
  uint16_t half[LANES];
  float value[LANES];
  round_to_half(d, half, value);

  for (int b = 0; b < count; b++, out += 110) {
    uint8_t l[256], scale[16];
    for (int j = 0; j < 16; j++) {
      scale[j] = scales[j][b];
      float dj = value[b] * (float)((int)scale[j] - 32);
      const float *xj = x + 256 * b + N * j;
      if (UNLIKELY(dj == 0)) {
        int at = 16 * b + j;
        if (!importance) {
          enum { STEP = REFINED_GROUPS * LANES };
          for (int i = 0; i < N; i++) l[N * j + i] = found.levels[at / STEP][i][at % STEP];
        } else if (found.symmetric.alive[at]) {
          kept_levels(N, xj, found.symmetric.inverse[at], 0, -4, 3, 4, l + N * j);
        } else {
          __builtin_memset(l + N * j, 0, N);
        }
      } else {
        final_levels(N, xj, dj, 0, -4, 3, 4, l + N * j);
      }
    }
    pack_3(l, scale, out);
    __builtin_memcpy(out + 108, half + b, 2);
  }
}

static void quantize_q3_K(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  super_blocks(batch_q3_K, 110, x, out, rows, columns, NULL);
}

static void quantize_q3_K_weighted(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  super_blocks(batch_q3_K, 110, x, out, rows, columns, importance);
}
