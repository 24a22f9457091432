// IQ3_XXS and IQ3_S: fours of magnitudes from a grid, signs, and a scale of four bits for 32 weights.

// Results of the search, a group of 32 each, in order.
struct iq3_found {
  float scale[8 * LANES];
  uint32_t signs[4][8 * LANES], codes[8][8 * LANES];  // of eights, of fours
  int32_t alive[8 * LANES];
  bool lost[LANES];  // of super-blocks: an error was beyond all numbers
};

// Magnitudes and the signs of each eight.
INLINE void iq3_signs(struct grid_4_batch *s, vu *signs) {
  for (int eight = 0; eight < 4; eight++) {
    signs[eight] = (vu){};
    UNROLLED for (int i = 0; i < 8; i++) {
      vf *x = s->x + 8 * eight + i;
      vi negative = ~(*x >= 0);
      signs[eight] |= (vu)negative & 1u << i;
      *x = (vf)((vu)*x ^ ((vu)negative & 0x80000000u));
    }
  }
}

// Where an odd number is set, the sign of the value that matters least is changed, and the value negative.
INLINE void iq3_even_signs(struct grid_4_batch *s, vu *signs) {
  for (int eight = 0; eight < 4; eight++) {
    vf *x = s->x + 8 * eight, *w = s->w + 8 * eight;
    vf least = w[0] * x[0] * x[0];
    vu place = (vu){} + 1u, parity = signs[eight];
    UNROLLED for (int i = 1; i < 8; i++) {
      vf cost = w[i] * x[i] * x[i];
      vi less = cost < least;
      least = choose(less, cost, least);
      place = ((vu)less & 1u << i) | (~(vu)less & place);
    }
    parity ^= parity >> 4;
    parity ^= parity >> 2;
    parity ^= parity >> 1;
    place &= -(parity & 1u);
    UNROLLED for (int i = 0; i < 8; i++) x[i] = (vf)((vu)x[i] ^ (place >> i & 1u) << 31);
    signs[eight] ^= place;
  }
}

// x (LANES, 32) with weights in s->w -> found, from its place `at` on.
INLINE void iq3_search(bool xxs, struct grid_4_batch *s, struct iq3_found *found, int at) {
  vu signs[4], codes[8];
  iq3_signs(s, signs);
  if (xxs) iq3_even_signs(s, signs);
  vf roots[32], maximum = s->x[0];
  for (int i = 0; i < 32; i++) {
    s->wx[i] = s->w[i] * s->x[i];
    roots[i] = __builtin_elementwise_sqrt(s->w[i]);
    maximum = choose(maximum > s->x[i], maximum, s->x[i]);
  }
  store_rows(s->x, s->x_rows);
  store_rows(roots, s->root_rows);
  __builtin_memset(s->lost, 0, sizeof s->lost);
  vi alive = xxs ? ~(maximum < 1e-8f) : maximum != 0;
  vf scale = grid_4_search(s, xxs ? 15 : 9, !xxs, maximum, alive, codes);

  vi negative = scale < 0, no_number = scale != scale;
  store(found->scale + at, magnitude(scale));
  __builtin_memcpy(found->alive + at, &alive, sizeof alive);
  for (int k = 0; k < 4; k++) {
    signs[k] ^= (vu)negative & 255u;
    __builtin_memcpy(found->signs[k] + at, signs + k, sizeof(vu));
  }
  for (int k = 0; k < 8; k++) __builtin_memcpy(found->codes[k] + at, codes + k, sizeof(vu));
  for (int k = 0; k < LANES; k++) found->lost[(at + k) / 8] |= s->lost[k] || no_number[k];
}

INLINE void iq3_find(bool xxs, const float *x, const float *const *importance, struct iq3_found *found) {
  struct grid_4_batch s = {.grid = xxs ? quern_grid_iq3_XXS() : quern_grid_iq3_S()};
  float variance[LANES], weights[256 * LANES];
  if (importance) {
    store(variance, mean_squares(x, 2.0f));
    for (int k = 0; k < LANES; k++) importance_weights(x + 256 * k, importance[k], variance[k], weights + 256 * k);
  }
  __builtin_memset(found->lost, 0, sizeof found->lost);
  for (int at = 0; at < 8 * LANES; at += LANES) {
    load_columns(x + 32 * at, 32, 1, s.x);
    if (importance) {
      load_columns(weights + 32 * at, 32, 1, s.w);
    } else {
      for (int i = 0; i < 32; i++) s.w[i] = s.x[i] * s.x[i];
    }
    iq3_search(xxs, &s, found, at);
  }
}

// d and the codes of the scales, (2 s + 1) / 31 of the largest each, of LANES super-blocks.
INLINE void iq3_scales(const struct iq3_found *found, float factor, uint16_t *half, uint8_t codes[8][LANES], float *largest) {
  vf scales[8], most = {};
  by_super_block(8, found->scale, scales);
  for (int j = 0; j < 8; j++) most = choose(most > scales[j], most, scales[j]);
  vf d = most / 31.0f, inverse = 1.0f / d;
  float value[LANES];
  round_to_half(d * factor, half, value);
  store(largest, most);
  for (int j = 0; j < 8; j++) {
    store_bytes(codes[j], clamped_bits(rounded_bits(0.5f * (inverse * scales[j] - 1.0f)), 0, 15) & 15u);
  }
}

// A block that is refused.
INLINE void iq3_refuse(uint8_t *out, int bytes) {
  __builtin_memset(out, 0, (size_t)bytes);
  out[1] = 0x7e;
}

// 1. d; 2. qs, 64 bytes; 3. of each 32 weights four times seven signs and a scale in the upper four bits.
static void batch_iq3_XXS(const float *x, uint8_t *out, int count, const float *const *importance) {
  const int16_t *entry_of = quern_grid_iq3_XXS()->entry_of;
  struct iq3_found found;
  iq3_find(true, x, importance, &found);
  uint16_t half[LANES];
  float largest[LANES];
  uint8_t scales[8][LANES];
  iq3_scales(&found, 1.0125f, half, scales, largest);
  for (int b = 0; b < count; b++, out += 98) {
    if (found.lost[b]) {
      iq3_refuse(out, 98);
      continue;
    }
    if (largest[b] == 0) {
      __builtin_memset(out, 0, 98);
      continue;
    }
    __builtin_memcpy(out, half + b, 2);
    for (int j = 0; j < 8; j++) {
      int at = 8 * b + j;
      for (int k = 0; k < 8; k++) out[2 + 8 * j + k] = (uint8_t)entry_of[found.codes[k][at]];
      uint32_t word = (uint32_t)scales[j][b] << 28;
      for (int k = 0; k < 4; k++) word |= (found.signs[k][at] & 127) << 7 * k;
      if (!found.alive[at]) word = (uint32_t)scales[j][b] << 28;
      __builtin_memcpy(out + 66 + 4 * j, &word, 4);
    }
  }
}

// 1. d; 2. qs, 64 bytes; 3. qh, 8 bytes; 4. signs, 32 bytes; 5. scales, 4 bytes.
static void batch_iq3_S(const float *x, uint8_t *out, int count, const float *const *importance) {
  const int16_t *entry_of = quern_grid_iq3_S()->entry_of;
  struct iq3_found found;
  iq3_find(false, x, importance, &found);
  uint16_t half[LANES];
  float largest[LANES];
  uint8_t scales[8][LANES];
  iq3_scales(&found, 1.033f, half, scales, largest);
  for (int b = 0; b < count; b++, out += 110) {
    if (found.lost[b]) {
      iq3_refuse(out, 110);
      continue;
    }
    __builtin_memset(out, 0, 110);
    // After a group of zeros ggml does not move on in qs and signs.
    uint8_t *qs = out + 2, *signs = out + 74;
    for (int j = 0; j < 8; j++) {
      int at = 8 * b + j;
      if (!found.alive[at]) continue;
      for (int k = 0; k < 8; k++) {
        int entry = entry_of[found.codes[k][at]];
        *qs++ = (uint8_t)entry;
        out[66 + j] |= (uint8_t)(entry >> 8 << k);
      }
      for (int k = 0; k < 4; k++) *signs++ = (uint8_t)found.signs[k][at];
    }
    if (largest[b] == 0) continue;
    __builtin_memcpy(out, half + b, 2);
    for (int j = 0; j < 4; j++) out[106 + j] = (uint8_t)(scales[2 * j][b] | scales[2 * j + 1][b] << 4);
  }
}

static void quantize_iq3_XXS(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  super_blocks(batch_iq3_XXS, 98, x, out, rows, columns, NULL);
}

static void quantize_iq3_XXS_weighted(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  super_blocks(batch_iq3_XXS, 98, x, out, rows, columns, importance);
}

static void quantize_iq3_S(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  super_blocks(batch_iq3_S, 110, x, out, rows, columns, NULL);
}

static void quantize_iq3_S_weighted(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  super_blocks(batch_iq3_S, 110, x, out, rows, columns, importance);
}
