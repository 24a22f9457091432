// Q4_K and Q5_K: 1. d; 2. dmin; 3. scales, 12 bytes; 4. for five bits qh, 32 bytes; 5. qs, 128 bytes. Groups of 32.

INLINE void scale_bytes(const uint8_t *ls, const uint8_t *lm, uint8_t *b) {
  for (int j = 0; j < 4; j++) {
    b[j] = (uint8_t)(ls[j] | (ls[j + 4] >> 4) << 6);
    b[j + 4] = (uint8_t)(lm[j] | (lm[j + 4] >> 4) << 6);
    b[j + 8] = (uint8_t)((ls[j + 4] & 0xF) | (lm[j + 4] & 0xF) << 4);
  }
}

INLINE void pack_45(int bits, const uint8_t *l, uint8_t *out) {
  if (bits == 5) {
    for (int i = 0; i < 32; i++) {
      uint8_t high = 0;
      UNROLLED for (int j = 0; j < 8; j++) high |= (uint8_t)((l[32 * j + i] >> 4) << j);
      out[i] = high;
    }
    out += 32;
  }
  for (int pair = 0; pair < 4; pair++) {
    for (int i = 0; i < 32; i++) {
      out[32 * pair + i] = (uint8_t)((l[64 * pair + i] & 0xF) | l[64 * pair + 32 + i] << 4);
    }
  }
}

// LANES super-blocks, of which `count` are stored. `importance` of each, or NULL.
INLINE void quantize_45_K(int bits, const float *x, uint8_t *out, int count, const float *const *importance) {
  enum { N = 32, STEP = GROUPS * LANES };
  const int top = bits == 4 ? 15 : 31;
  // Buffers of a power of two would share cache sets; they are padded apart.
  struct {
    vf x[N * GROUPS + 1], w[N * GROUPS + 3], l[N * GROUPS + 5];
    struct affine_found found;
    float weights[STEP * N];
  } s;
  float variance[LANES];
  if (importance) store(variance, mean_squares(x, 2.0f));

  const struct affine_plan plan =
      importance ? (struct affine_plan){N, (float)top, -0.9f, 0.05f, 36, false}
                 : (struct affine_plan){N, (float)top, bits == 4 ? -1.0f : -0.5f, 0.1f, bits == 4 ? 20 : 15, false};
  for (int at = 0; at < 8 * LANES; at += STEP) {
    load_columns(x + at * N, N, GROUPS, s.x);
    if (importance) {
      for (int b = 0; b < STEP / 8; b++) {
        int block = at / 8 + b;
        importance_weights(x + 256 * block, importance[block], variance[block], s.weights + 256 * b);
      }
      load_columns(s.weights, N, GROUPS, s.w);
    } else {
      for (int g = 0; g < GROUPS; g++) {
        vf sum = {};
        for (int i = 0; i < N; i++) sum += s.x[i * GROUPS + g] * s.x[i * GROUPS + g];
        vf average = __builtin_elementwise_sqrt(sum / 32.0f);
        for (int i = 0; i < N; i++) s.w[i * GROUPS + g] = average + magnitude(s.x[i * GROUPS + g]);
      }
    }
    struct affine r[GROUPS];
    affine_search(plan, s.x, s.w, s.l, r);
    keep_affine(&s.found, at, r);
  }

  vf values[16], d[2];
  vu levels[16];
  by_super_block(8, s.found.scale, values);
  by_super_block(8, s.found.minimum, values + 8);
  if (importance) {
    vf weight[8];
    by_super_block(8, s.found.weight, weight);
    positive_search(2, 8, 63, values, weight, levels, d);
    if (bits == 5) {
      for (int j = 0; j < 16; j++) levels[j] = __builtin_elementwise_min(levels[j], (vu){} + 63u);
    }
  } else {
    for (int set = 0; set < 2; set++) {
      vf maximum = {};
      for (int j = 0; j < 8; j++) maximum = larger(values[8 * set + j], maximum);
      vf inverse = keep(maximum > 0, 63.0f / maximum);
      for (int j = 0; j < 8; j++) {
        vu cut = rounded_bits(inverse * values[8 * set + j]) & 0xffu;
        levels[8 * set + j] = __builtin_elementwise_min(cut, (vu){} + 63u);
      }
      d[set] = maximum / 63.0f;
    }
  }

  uint8_t level[16][LANES];
  for (int j = 0; j < 16; j++) store_bytes(level[j], levels[j]);
  uint16_t half[2][LANES];
  float value[2][LANES];
  for (int set = 0; set < 2; set++) round_to_half(d[set], half[set], value[set]);
  for (int b = 0; b < count; b++, out += bits == 4 ? 144 : 176) {
    uint8_t ls[8], lm[8], l[256];
    for (int j = 0; j < 8; j++) {
      ls[j] = level[j][b];
      lm[j] = level[8 + j][b];
    }
    uint8_t *scales = out + 4;
    __builtin_memcpy(out, half[0] + b, 2);
    __builtin_memcpy(out + 2, half[1] + b, 2);
    scale_bytes(ls, lm, scales);
    for (int j = 0; j < 8; j++) {
      // As they will be read back.
      int sc = j < 4 ? scales[j] & 63 : (scales[j + 4] & 0xF) | (scales[j - 4] >> 6) << 4;
      int m = j < 4 ? scales[j + 4] & 63 : scales[j + 4] >> 4 | (scales[j] >> 6) << 4;
      float dj = value[0][b] * (float)sc;
      const float *values_j = x + 256 * b + N * j;
      if (UNLIKELY(dj == 0)) {
        kept_levels(N, values_j, s.found.inverse[8 * b + j], s.found.low[8 * b + j], 0, top, 0, l + N * j);
      } else {
        final_levels(N, values_j, dj, value[1][b] * (float)m, 0, top, 0, l + N * j);
      }
    }
    pack_45(bits, l, out + 16);
  }
}


static void batch_q4_K(const float *x, uint8_t *out, int count, const float *const *importance) {
  quantize_45_K(4, x, out, count, importance);
}

static void batch_q5_K(const float *x, uint8_t *out, int count, const float *const *importance) {
  quantize_45_K(5, x, out, count, importance);
}

static void quantize_q4_K(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  super_blocks(batch_q4_K, 144, x, out, rows, columns, NULL);
}

static void quantize_q4_K_weighted(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  super_blocks(batch_q4_K, 144, x, out, rows, columns, importance);
}

static void quantize_q5_K(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  super_blocks(batch_q5_K, 176, x, out, rows, columns, NULL);
}

static void quantize_q5_K_weighted(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  super_blocks(batch_q5_K, 176, x, out, rows, columns, importance);
}
