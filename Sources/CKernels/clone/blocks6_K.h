// Q6_K: 1. ql, 128 bytes; 2. qh, 64 bytes; 3. scales, 16 signed bytes; 4. d. Groups of 16.

INLINE void pack_6(const uint8_t *l, uint8_t *ql, uint8_t *qh) {
  for (int half = 0; half < 2; half++) {
    for (int i = 0; i < 64; i++) {
      const uint8_t *q = l + 128 * half + i;
      ql[64 * half + i] = (uint8_t)((q[0] & 0xF) | q[64] << 4);
    }
    for (int i = 0; i < 32; i++) {
      const uint8_t *q = l + 128 * half + i;
      qh[32 * half + i] = (uint8_t)(q[0] >> 4 | (q[32] >> 4) << 2 | (q[64] >> 4) << 4 | (q[96] >> 4) << 6);
    }
  }
}

static void batch_q6_K(const float *x, uint8_t *out, int count, const float *const *importance) {
  enum { N = 16, STEP = GROUPS * LANES };
  struct {
    vf x[N * GROUPS + 1], w[N * GROUPS + 3], wx[N * GROUPS + 5];
    struct symmetric_found found;
    float weights[STEP < 16 ? 256 : STEP * N];
  } s;
  for (int at = 0; at < 16 * LANES; at += STEP) {
    load_columns(x + at * N, N, GROUPS, s.x);
    if (importance) {
      // The importance itself is the weight here: no square root of variance and x^2.
      if (at % 16 == 0) {
        for (int b = 0; b * 16 < STEP; b++) __builtin_memcpy(s.weights + 256 * b, importance[at / 16 + b], 1024);
      }
      load_columns(s.weights + at % 16 * N, N, GROUPS, s.w);
    } else {
      for (int i = 0; i < N * GROUPS; i++) s.w[i] = s.x[i] * s.x[i];
    }
    for (int i = 0; i < N * GROUPS; i++) s.wx[i] = s.w[i] * s.x[i];
    struct symmetric r[GROUPS];
    for (int g = 0; g < GROUPS; g++) r[g] = symmetric_search(N, 32, false, s.x + g, s.w + g, s.wx + g, GROUPS);
    keep_symmetric(&s.found, at, GROUPS, r);
  }

  vf scales[16];
  vi alive;
  by_super_block(16, s.found.scale, scales);
  vf inverse = -128.0f / extreme(16, scales, 1, &alive);
  uint16_t half[LANES];
  float d[LANES];
  round_to_half(1.0f / inverse, half, d);
  uint8_t levels[16][LANES];
  for (int j = 0; j < 16; j++) {
    vu bits = __builtin_elementwise_min(rounded_bits(inverse * scales[j]), (vu){} + (ZERO_BITS + 127u));
    store_bytes(levels[j], bits);
  }
  int32_t is_alive[LANES];
  __builtin_memcpy(is_alive, &alive, sizeof alive);

  for (int b = 0; b < count; b++, out += 210) {
    if (!is_alive[b]) {
      __builtin_memset(out, 0, 210);
      continue;
    }
    uint8_t l[256];
    for (int j = 0; j < 16; j++) {
      int8_t scale = (int8_t)levels[j][b];
      float dj = d[b] * (float)scale;
      const float *xj = x + 256 * b + N * j;
      if (UNLIKELY(dj == 0)) {
        int at = 16 * b + j;
        if (s.found.alive[at]) {
          kept_levels(N, xj, s.found.inverse[at], 0, -32, 31, 32, l + N * j);
        } else {
          __builtin_memset(l + N * j, 0, N);
        }
      } else {
        final_levels(N, xj, dj, 0, -32, 31, 32, l + N * j);
      }
      out[192 + j] = (uint8_t)scale;
    }
    pack_6(l, out, out + 128);
    __builtin_memcpy(out + 208, half + b, 2);
  }
}

static void quantize_q6_K(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  super_blocks(batch_q6_K, 210, x, out, rows, columns, NULL);
}

static void quantize_q6_K_weighted(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  super_blocks(batch_q6_K, 210, x, out, rows, columns, importance);
}
