// IQ1_S and IQ1_M: an entry of a grid for each eight weights of levels -1, 0 and 1, all shifted by an eighth up or down. 32
// weights share a scale and a shift, or 16 a scale and eight a shift.

// What level 0, 1 or 2 is worth with a shift down (all ones) or up.
INLINE vf iq1_value(vu level, vi down) {
  return __builtin_convertvector((vi)level, vf) - choose(down, all(1.125f), all(0.875f));
}

// The shift of an eight: all ones for down. IQ1_S has one for all.
INLINE vi iq1_is_down(vi shifts, int n, int eight) { return n == 32 || eight == 0 ? shifts > 1 : (shifts & 1) != 0; }

// LANES super-blocks: of each group the scale and the shifts, of each eight the code and the entry.
struct iq1_found {
  float scale[16 * LANES];
  int32_t shifts[16 * LANES];
  uint16_t entry[32 * LANES];
  uint32_t code[32][LANES];  // of an eight in all super-blocks
  bool is_lost[LANES];       // where ggml aborts: every error is beyond all numbers
};

// Puts the codes of LANES groups on the grid; the lanes in which that changed any.
INLINE vi iq1_move(const struct quern_grid_8 *grid, int n, const float *x, const float *w, const struct iq1_split *r,
                   vu *codes, const vu *numbers, vi *is_lost) {
  float scale[LANES];
  int32_t shifts[LANES], lost[LANES] = {0}, moved[LANES] = {0};
  store(scale, r->scale);
  __builtin_memcpy(shifts, &r->shifts, sizeof shifts);
  for (int eight = 0; eight < n / 8; eight++) {
    uint32_t number[LANES], code[LANES];
    __builtin_memcpy(number, numbers + eight, sizeof number);
    __builtin_memcpy(code, codes + eight, sizeof code);
    for (int k = 0; k < LANES; k++) {
      if (grid->entry_of[number[k]] >= 0 || lost[k]) continue;
      const float *xe = x + n * k + 8 * eight, *we = w + n * k + 8 * eight;
      bool down = n == 32 || eight == 0 ? shifts[k] > 1 : shifts[k] & 1;
      struct grid_8_eight e = grid_8_load(xe, we);
      vf levels = down ? grid_8_levels(-1.125f, -0.125f, 0.875f) : grid_8_levels(-0.875f, 0.125f, 1.125f);
      int nearest = grid_8_nearest(grid, number[k], &e, scale[k] * levels);
      if (nearest < 0) lost[k] = -1;
      code[k] = (uint32_t)nearest;
      moved[k] = -1;
    }
    __builtin_memcpy(codes + eight, code, sizeof code);
  }
  vi result;
  __builtin_memcpy(is_lost, lost, sizeof lost);
  __builtin_memcpy(&result, moved, sizeof moved);
  return result;
}

// The scale that fits codes best, where there is one.
INLINE vf iq1_refit(int n, const vf *x, const vf *w, const vu *codes, vi shifts, vf scale) {
  vf xq = {}, qq = {};
  for (int eight = 0; eight < n / 8; eight++) {
    vi down = iq1_is_down(shifts, n, eight);
    UNROLLED for (int i = 0; i < 8; i++) {
      vf q = iq1_value(codes[eight] >> 2 * i & 3u, down);
      vf wq = w[8 * eight + i] * q;
      xq += wq * x[8 * eight + i];
      qq += wq * q;
    }
  }
  return choose((xq > 0) & (qq > 0), xq / qq, scale);
}

// x, w (LANES, 256). `n`: weights of a group; below `epsilon` it counts as zero.
INLINE void iq1_search(const struct quern_grid_8 *grid, int n, float epsilon, const float *x, const float *w,
                       struct iq1_found *found) {
  for (int b = 0; b < LANES; b++) found->is_lost[b] = false;
  for (int at = 0; at < 256 / n * LANES; at += LANES) {
    vf columns[32], weights[32], largest = {};
    struct iq1_sorted sorted;
    load_columns(x + at * n, n, 1, columns);
    load_columns(w + at * n, n, 1, weights);
    for (int i = 0; i < n; i++) {
      largest = larger(magnitude(columns[i]), largest);
      sorted.x[i] = columns[i];
      sorted.w[i] = weights[i];
      sorted.place[i] = (vi){} + i;
    }
    iq1_sort(n, &sorted);
    struct iq1_split r = n == 32 ? iq1_split_32(&sorted) : iq1_split_16(&sorted);
    r.is_found &= ~(largest < epsilon);
    r.scale = keep(r.is_found, r.scale);
    r.shifts &= r.is_found;
    vu codes[4], numbers[4];
    vi is_lost;
    iq1_levels(n, columns, &sorted, &r, codes, numbers);
    vi moved = iq1_move(grid, n, x + at * n, w + at * n, &r, codes, numbers, &is_lost);
    r.scale = choose(moved, iq1_refit(n, columns, weights, codes, r.shifts, r.scale), r.scale);
    is_lost |= r.scale != r.scale;

    int32_t lost[LANES];
    __builtin_memcpy(lost, &is_lost, sizeof lost);
    store(found->scale + at, r.scale);
    __builtin_memcpy(found->shifts + at, &r.shifts, sizeof r.shifts);
    for (int k = 0; k < LANES; k++) {
      int eights = n / 8, first = (at + k) * eights, b = first / 32;
      if (lost[k]) found->is_lost[b] = true;
      for (int eight = 0; eight < eights && !lost[k]; eight++) {
        uint32_t code = codes[eight][k];
        found->code[first % 32 + eight][b] = code;
        found->entry[first + eight] = (uint16_t)grid_8_entry(grid, code);
      }
    }
  }
}

INLINE void iq1_weights(const float *x, const float *const *importance, float *w) {
  float variance[LANES];
  store(variance, mean_squares(x, 2.0f));
  for (int b = 0; b < LANES; b++) {
    if (importance) {
      importance_weights(x + 256 * b, importance[b], variance[b], w + 256 * b);
    } else {
      for (int i = 256 * b; i < 256 * b + 256; i += LANES) store(w + i, load(x + i) * load(x + i));
    }
  }
}

// Of n groups of each super-block the largest scale, and s of (2 s + 1) / 15, their fraction of it.
INLINE vf iq1_scale_codes(int n, const float *scales, vu *codes) {
  vf values[16], largest = {};
  by_super_block(n, scales, values);
  for (int j = 0; j < n; j++) largest = larger(values[j], largest);
  vf inverse = 1.0f / (largest / 15.0f);
  for (int j = 0; j < n; j++) {
    vu level = clamped_bits(rounded_bits(0.5f * (inverse * values[j] - 1.0f)), 0, 7) - ZERO_BITS;
    codes[j] = level & (vu)(largest != 0);
  }
  return largest;
}

// 1. d; 2. qs, 32 bytes; 3. qh, 8 words: of four entries the upper three bits, a scale, the shift.
static void batch_iq1_S(const float *x, uint8_t *out, int count, const float *const *importance) {
  float w[256 * LANES];
  struct iq1_found found;
  iq1_weights(x, importance, w);
  iq1_search(quern_grid_iq1(), 32, 1e-12f, x, w, &found);

  vu levels[8];
  vf largest = iq1_scale_codes(8, found.scale, levels);
  uint8_t scale_codes[8][LANES];
  for (int j = 0; j < 8; j++) store_bytes(scale_codes[j], levels[j]);
  uint16_t half[LANES];
  float value[LANES];
  round_to_half(largest / 15.0f * 1.125f, half, value);
  for (int b = 0; b < count; b++, out += 50) {
    __builtin_memset(out, 0, 50);
    if (found.is_lost[b]) {
      out[1] = 0x7e;
      continue;
    }
    __builtin_memcpy(out, half + b, 2);
    for (int group = 0; group < 8; group++) {
      uint32_t word = (uint32_t)scale_codes[group][b] << 12;
      if (largest[b] != 0 && found.shifts[8 * b + group]) word |= 0x8000;
      for (int eight = 0; eight < 4; eight++) {
        uint32_t entry = found.entry[32 * b + 4 * group + eight];
        out[2 + 4 * group + eight] = (uint8_t)entry;
        word |= entry >> 8 << 3 * eight;
      }
      out[34 + 2 * group] = (uint8_t)word;
      out[35 + 2 * group] = (uint8_t)(word >> 8);
    }
  }
}

// d that fits all levels of a super-block best, a super-block a lane.
INLINE vf iq1_fitted(const float *x, const float *w, const struct iq1_found *found, const vu *scale_codes, vf d) {
  vf xq = {}, qq = {};
  for (int group = 0; group < 16; group++) {
    vf columns[16], weights[16], scale = __builtin_convertvector((vi)(2u * scale_codes[group] + 1u), vf);
    UNROLLED for (int c = 0; c < 16; c += LANES) {
      UNROLLED for (int k = 0; k < LANES; k++) columns[c + k] = load(x + 256 * k + 16 * group + c);
      UNROLLED for (int k = 0; k < LANES; k++) weights[c + k] = load(w + 256 * k + 16 * group + c);
      transpose(columns + c);
      transpose(weights + c);
    }
    vi shifts;
    UNROLLED for (int k = 0; k < LANES; k++) shifts[k] = found->shifts[16 * k + group];
    for (int eight = 0; eight < 2; eight++) {
      vu code;
      __builtin_memcpy(&code, found->code[2 * group + eight], sizeof code);
      vi down = iq1_is_down(shifts, 16, eight);
      UNROLLED for (int i = 0; i < 8; i++) {
        vf q = iq1_value(code >> 2 * i & 3u, down) * scale;
        vf wq = weights[8 * eight + i] * q;
        xq += wq * columns[8 * eight + i];
        qq += wq * q;
      }
    }
  }
  return choose(qq > 0, xq / qq, d);
}

// 1. qs, 32 bytes; 2. qh, 16 bytes: of an entry the upper three bits and the shift in a nibble; 3. scales, 4 words: of four
// groups, and a nibble of d uppermost.
static void batch_iq1_M(const float *x, uint8_t *out, int count, const float *const *importance) {
  float w[256 * LANES];
  struct iq1_found found;
  iq1_weights(x, importance, w);
  __builtin_memset(found.code, 0, sizeof found.code);
  iq1_search(quern_grid_iq1(), 16, 1e-7f, x, w, &found);

  vu levels[16];
  vf largest = iq1_scale_codes(16, found.scale, levels);
  vf d = keep(largest != 0, iq1_fitted(x, w, &found, levels, largest / 15.0f));
  uint8_t scale_codes[16][LANES];
  for (int j = 0; j < 16; j++) store_bytes(scale_codes[j], levels[j]);
  uint16_t half[LANES];
  float value[LANES];
  round_to_half(d * 1.1125f, half, value);
  for (int b = 0; b < count; b++, out += 56) {
    uint32_t scales[4], bits = found.is_lost[b] ? 0x7e00 : half[b];
    for (int j = 0; j < 4; j++) scales[j] = (bits >> 4 * j & 15) << 12;
    __builtin_memset(out, 0, 48);
    for (int group = 0; group < 16 && !found.is_lost[b]; group++) {
      uint32_t first = found.entry[32 * b + 2 * group], second = found.entry[32 * b + 2 * group + 1];
      uint32_t shifts = largest[b] != 0 ? (uint32_t)found.shifts[16 * b + group] : 0;
      out[2 * group] = (uint8_t)first;
      out[2 * group + 1] = (uint8_t)second;
      out[32 + group] = (uint8_t)(first >> 8 | (shifts & 2) << 2 | (second >> 8 | (shifts & 1) << 3) << 4);
      scales[group / 4] |= (uint32_t)scale_codes[group][b] << 3 * (group % 4);
    }
    for (int j = 0; j < 4; j++) {
      out[48 + 2 * j] = (uint8_t)scales[j];
      out[49 + 2 * j] = (uint8_t)(scales[j] >> 8);
    }
  }
}

static void quantize_iq1_S_weighted(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  super_blocks(batch_iq1_S, 50, x, out, rows, columns, importance);
}

static void quantize_iq1_M(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  super_blocks(batch_iq1_M, 56, x, out, rows, columns, NULL);
}

static void quantize_iq1_M_weighted(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  super_blocks(batch_iq1_M, 56, x, out, rows, columns, importance);
}
