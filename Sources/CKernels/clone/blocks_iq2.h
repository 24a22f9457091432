// IQ2_XXS, IQ2_XS and IQ2_S: an entry of a grid for each eight magnitudes, a sign each, and a scale for 32 or 16 weights.

// Magnitudes of x (256), one bit a sign; with even signs the magnitude that matters least of eight turns negative where their
// number is odd.
INLINE void iq2_magnitudes(bool has_even_signs, const float *x, const float *w, float *size, uint8_t *signs) {
  for (int i = 0; i < 256; i += 32) {
    uint32_t bits = 0;
    UNROLLED for (int c = 0; c < 32; c += LANES) {
      vf v = load(x + i + c);
      vi negative = ~(v >= 0);
      store(size + i + c, choose(negative, -v, v));
      bits |= lane_mask(negative) << c;
    }
    __builtin_memcpy(signs + i / 8, &bits, 4);
  }
  if (!has_even_signs) return;
  for (int eight = 0; eight < 32; eight++) {
    if (__builtin_popcount(signs[eight]) % 2 == 0) continue;
    const float *xe = size + 8 * eight, *we = w + 8 * eight;
    int least = 0;
    float smallest = we[0] * xe[0] * xe[0];
    for (int i = 1; i < 8; i++) {
      float cost = we[i] * xe[i] * xe[i];
      if (cost < smallest) {
        smallest = cost;
        least = i;
      }
    }
    size[8 * eight + least] = -size[8 * eight + least];
    signs[eight] ^= (uint8_t)(1u << least);
  }
}

// s of (2 s + 1) / 31, the fraction of the largest, of n scales.
INLINE void iq2_scale_codes(const float *scales, float largest, uint8_t *codes) {
  float inverse = 1.0f / (largest / 31.0f);
  for (int j = 0; j < 16; j += LANES) {
    store_bytes(codes + j, clamped_bits(rounded_bits(0.5f * (inverse * load(scales + j) - 1.0f)), 0, 15));
  }
}

// Groups of one super-block.
struct iq2_block {
  struct iq2_group groups[16];
  float scales[16];
  float largest;
  uint8_t signs[32];
};

// 1. d; 2. for each 32 weights four entries, then 32 bits: four times seven signs and a scale.
INLINE void iq2_XXS_store(const struct quern_grid_8 *grid, const struct iq2_block *b, const uint8_t *codes, uint8_t *out) {
  store_half(b->largest / 31.0f, out);
  for (int group = 0; group < 8; group++) {
    uint32_t entries = 0, word = (uint32_t)codes[group] << 28;
    for (int eight = 0; eight < 4 && b->groups[group].is_stored; eight++) {
      entries |= grid_8_entry(grid, b->groups[group].codes[eight]) << 8 * eight;
      word |= (uint32_t)(b->signs[4 * group + eight] & 127) << 7 * eight;
    }
    __builtin_memcpy(out + 2 + 8 * group, &entries, 4);
    __builtin_memcpy(out + 6 + 8 * group, &word, 4);
  }
}

// 1. d; 2. for each eight weights nine bits of an entry and seven signs; 3. scales.
INLINE void iq2_XS_store(const struct quern_grid_8 *grid, const struct iq2_block *b, const uint8_t *codes, uint8_t *out) {
  store_half(b->largest / 31.0f, out);
  for (int eight = 0; eight < 32; eight++) {
    const struct iq2_group *group = b->groups + eight / 2;
    uint32_t word = 0;
    if (group->is_stored) word = grid_8_entry(grid, group->codes[eight % 2]) | (uint32_t)(b->signs[eight] & 127) << 9;
    out[2 + 2 * eight] = (uint8_t)word;
    out[3 + 2 * eight] = (uint8_t)(word >> 8);
  }
  for (int pair = 0; pair < 8; pair++) out[66 + pair] = (uint8_t)(codes[2 * pair] | codes[2 * pair + 1] << 4);
}

// 1. d; 2. qs, 32 bytes; 3. signs, 32 bytes; 4. qh, 8 bytes; 5. scales. Without a scale the rest is stored all the same.
INLINE void iq2_S_store(const struct quern_grid_8 *grid, const struct iq2_block *b, const uint8_t *codes, uint8_t *out) {
  __builtin_memset(out, 0, 82);
  if (b->largest != 0) store_half(b->largest / 31.0f * 0.9875f, out);
  for (int eight = 0; eight < 32; eight++) {
    const struct iq2_group *group = b->groups + eight / 2;
    if (!group->is_stored) continue;
    uint32_t entry = grid_8_entry(grid, group->codes[eight % 2]);
    out[2 + eight] = (uint8_t)entry;
    out[34 + eight] = b->signs[eight];
    out[66 + eight / 4] |= (uint8_t)(entry >> 8 << 2 * (eight % 4));
  }
  if (b->largest == 0) return;
  for (int pair = 0; pair < 8; pair++) out[74 + pair] = (uint8_t)(codes[2 * pair] | codes[2 * pair + 1] << 4);
}

INLINE void batch_iq2(struct iq2_format f, bool is_xs, const struct quern_grid_8 *grid, const float *x, uint8_t *out, int count,
                      const float *const *importance) {
  const int groups = 256 / f.size, bytes = f.xxs ? 66 : is_xs ? 74 : 82;
  float size[256 * LANES], w[256 * LANES], root[256], variance[LANES], first[8 * LANES];
  uint8_t signs[32 * LANES];
  store(variance, mean_squares(x, f.has_even_signs ? 1.0f : 2.0f));
  for (int b = 0; b < LANES; b++) {
    const float *xb = x + 256 * b;
    if (importance) {
      importance_weights(xb, importance[b], variance[b], w + 256 * b);
    } else {
      for (int i = 0; i < 256; i += LANES) store(w + 256 * b + i, 0.25f * variance[b] + load(xb + i) * load(xb + i));
    }
    iq2_magnitudes(f.has_even_signs, xb, w + 256 * b, size + 256 * b, signs + 32 * b);
  }
  if (f.xxs) {
    // The scale of a fit by levels that any of the eight may have, a group a lane.
    for (int at = 0; at < 8 * LANES; at += LANES) {
      vf x_columns[32], w_columns[32], scale;
      vu levels[32];
      load_columns(size + 32 * at, 32, 1, x_columns);
      load_columns(w + 32 * at, 32, 1, w_columns);
      positive_search(1, 32, 4, x_columns, w_columns, levels, &scale);
      store(first + at, scale);
    }
  }
  for (int b = 0; b < count; b++, out += bytes) {
    struct iq2_block block = {.largest = 0};
    bool is_lost = false;
    __builtin_memcpy(block.signs, signs + 32 * b, 32);
    for (int i = 0; i < 256; i += LANES) store(root + i, __builtin_elementwise_sqrt(load(w + 256 * b + i)));
    for (int g = 0; g < groups && !is_lost; g++) {
      struct iq2_group *group = block.groups + g;
      const float *xg = size + 256 * b + f.size * g, *wg = w + 256 * b + f.size * g;
      vf m = load(xg);
      UNROLLED for (int i = LANES; i < f.size; i += LANES) m = larger(load(xg + i), m);
      float maximum = __builtin_reduce_max(m);
      if (maximum < f.epsilon) continue;
      if (f.xxs) {
        group->scale = first[8 * b + g];
        maximum = group->scale * 3.0f;
        if (maximum <= 0) {
          group->scale = 0;
          continue;
        }
      }
      is_lost = !iq2_search(f, grid, xg, wg, root + f.size * g, maximum, group);
      if (group->scale < 0) {
        group->scale = -group->scale;
        for (int e = 0; e < f.size / 8; e++) block.signs[f.size / 8 * g + e] = (uint8_t)~block.signs[f.size / 8 * g + e];
      }
      block.scales[g] = group->scale;
      if (group->scale > block.largest) block.largest = group->scale;
    }
    if (is_lost || (block.largest == 0 && f.has_even_signs)) {
      // Where an error is beyond all numbers, a scale that is NaN.
      __builtin_memset(out, 0, (size_t)bytes);
      if (is_lost) out[1] = 0x7e;
      continue;
    }
    uint8_t codes[16];
    iq2_scale_codes(block.scales, block.largest, codes);
    if (f.xxs) {
      iq2_XXS_store(grid, &block, codes, out);
    } else if (is_xs) {
      iq2_XS_store(grid, &block, codes, out);
    } else {
      iq2_S_store(grid, &block, codes, out);
    }
  }
}

static void batch_iq2_XXS(const float *x, uint8_t *out, int count, const float *const *importance) {
  batch_iq2((struct iq2_format){32, 6, true, true, 1e-15f}, false, quern_grid_iq2_XXS(), x, out, count, importance);
}

static void batch_iq2_XS(const float *x, uint8_t *out, int count, const float *const *importance) {
  batch_iq2((struct iq2_format){16, 9, false, true, 1e-15f}, true, quern_grid_iq2_XS(), x, out, count, importance);
}

static void batch_iq2_S(const float *x, uint8_t *out, int count, const float *const *importance) {
  batch_iq2((struct iq2_format){16, 9, false, false, 1e-8f}, false, quern_grid_iq2_S(), x, out, count, importance);
}

static void quantize_iq2_XXS_weighted(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  super_blocks(batch_iq2_XXS, 66, x, out, rows, columns, importance);
}

static void quantize_iq2_XS_weighted(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  super_blocks(batch_iq2_XS, 74, x, out, rows, columns, importance);
}

static void quantize_iq2_S(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  super_blocks(batch_iq2_S, 82, x, out, rows, columns, NULL);
}

static void quantize_iq2_S_weighted(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  super_blocks(batch_iq2_S, 82, x, out, rows, columns, importance);
}
