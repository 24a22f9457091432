// IQ1_S and IQ1_M: an entry of a grid for each eight weights of levels -1, 0 and 1, all shifted by an eighth up or down; a scale
// for 32 weights and their shift, or one for 16 with a shift for each eight.

// N values in ascending order, equal ones in that of their places; a group a lane.
struct iq1_sorted {
  vf x[32], w[32];
  vi place[32];
};

// Batcher's network: the same comparisons whatever the values are.
INLINE void iq1_sort(int n, struct iq1_sorted *s) {
  for (int half = 1; half < n; half *= 2) {
    for (int step = half; step >= 1; step /= 2) {
      for (int from = step % half; from + step < n; from += 2 * step) {
        for (int i = from; i < from + step && i + step < n; i++) {
          if (i / (2 * half) != (i + step) / (2 * half)) continue;
          vf a = s->x[i], b = s->x[i + step], wa = s->w[i], wb = s->w[i + step];
          vi pa = s->place[i], pb = s->place[i + step];
          vi swaps = (b < a) | ((b == a) & (pb < pa));
          s->x[i] = choose(swaps, b, a);
          s->x[i + step] = choose(swaps, a, b);
          s->w[i] = choose(swaps, wb, wa);
          s->w[i + step] = choose(swaps, wa, wb);
          s->place[i] = (swaps & pb) | (~swaps & pa);
          s->place[i + step] = (swaps & pa) | (~swaps & pb);
        }
      }
    }
  }
}

// The best split of a group into three levels, a group a lane.
struct iq1_split {
  vf scale, best;
  vi first, second;  // in ascending order, values before `first` have the lowest level, from `second` on the highest
  vi shifts;         // bit 1: the first eight are shifted down, bit 0: the second eight; all eights of IQ1_S as 0 or 3
  vi is_found;
};

INLINE struct iq1_split iq1_no_split(void) {
  return (struct iq1_split){.best = all(-__FLT_MAX__)};
}

INLINE vi iq1_fits_better(const struct iq1_split *r, vf xq, vf qq) { return (qq > 0) & (xq * xq > r->best * qq); }

INLINE void iq1_take(struct iq1_split *r, vf xq, vf qq, int first, int second, int shifts) {
  vi better = iq1_fits_better(r, xq, qq);
  r->scale = choose(better, xq / qq, r->scale);
  r->best = choose(better, r->scale * xq, r->best);
  r->first = (better & first) | (~better & r->first);
  r->second = (better & second) | (~better & r->second);
  r->shifts = (better & shifts) | (~better & r->shifts);
  r->is_found |= better;
}

// All splits of 32 weights with either shift.
//
// A middle level of 1/8 or -1/8 adds the same square to qq, and to xq the same but for the sign: nothing is rounded then.
INLINE struct iq1_split iq1_split_32(const struct iq1_sorted *s) {
  enum { N = 32 };
  vf sum[N + 1], total[N + 1];           // of w x, and of w
  vf xq_up[N + 1], xq_down[N + 1], qq_up[N + 1], qq_down[N + 1];  // of the highest level
  sum[0] = total[0] = (vf){};
  for (int j = 0; j < N; j++) {
    sum[j + 1] = sum[j] + s->w[j] * s->x[j];
    total[j + 1] = total[j] + s->w[j];
  }
  for (int j = 0; j <= N; j++) {
    vf x = sum[N] - sum[j], w = total[N] - total[j];
    xq_up[j] = x * 1.125f;
    xq_down[j] = x * 0.875f;
    qq_up[j] = w * 1.125f * 1.125f;
    qq_down[j] = w * 0.875f * 0.875f;
  }
  struct iq1_split r = iq1_no_split();
  for (int first = 0; first <= N; first++) {
    vf xa = sum[first], wa = total[first];
    vf low_up = xa * -0.875f, low_down = xa * -1.125f;
    vf square_up = wa * -0.875f * -0.875f, square_down = wa * -1.125f * -1.125f;
    for (int second = first; second <= N; second++) {
      vf middle = (sum[second] - xa) * 0.125f, square = (total[second] - wa) * 0.125f * 0.125f;
      vf xu = low_up + middle + xq_up[second], xd = low_down - middle + xq_down[second];
      vf qu = square_up + square + qq_up[second], qd = square_down + square + qq_down[second];
      if (UNLIKELY(any(iq1_fits_better(&r, xu, qu) | iq1_fits_better(&r, xd, qd)))) {
        iq1_take(&r, xu, qu, first, second, 0);
        iq1_take(&r, xd, qd, first, second, 3);
      }
    }
  }
  return r;
}

// All splits of 16 weights with any shifts of both eights.
INLINE struct iq1_split iq1_split_16(const struct iq1_sorted *s) {
  enum { N = 16 };
  vf sum[2][N + 1], total[2][N + 1];  // of each eight
  for (int half = 0; half < 2; half++) {
    sum[half][0] = total[half][0] = (vf){};
    for (int j = 0; j < N; j++) {
      vi here = half == 0 ? s->place[j] < 8 : s->place[j] >= 8;
      sum[half][j + 1] = choose(here, sum[half][j] + s->w[j] * s->x[j], sum[half][j]);
      total[half][j + 1] = choose(here, total[half][j] + s->w[j], total[half][j]);
    }
  }
  vf all_up[2], all_down[2], square_up[2], square_down[2];
  for (int half = 0; half < 2; half++) {
    all_up[half] = sum[half][N] * 1.125f;
    all_down[half] = sum[half][N] * 0.875f;
    square_up[half] = total[half][N] * 1.125f * 1.125f;
    square_down[half] = total[half][N] * 0.875f * 0.875f;
  }
  struct iq1_split r = iq1_no_split();
  for (int first = 0; first <= N; first++) {
    vf low_up[2], low_down[2];
    for (int half = 0; half < 2; half++) {
      low_up[half] = square_up[half] + total[half][first] * 0.75f;
      low_down[half] = square_down[half] + total[half][first] * 1.25f;
    }
    for (int second = first; second <= N; second++) {
      vf xq[2][2], qq[2][2];
      UNROLLED for (int half = 0; half < 2; half++) {
        vf below = sum[half][first] + sum[half][second];
        xq[half][0] = all_up[half] - below;
        xq[half][1] = all_down[half] - below;
        qq[half][0] = low_up[half] + total[half][second] * -1.25f;
        qq[half][1] = low_down[half] + total[half][second] * -0.75f;
      }
      vi better = {};
      UNROLLED for (int k = 0; k < 4; k++) {
        better |= iq1_fits_better(&r, xq[0][k >> 1] + xq[1][k & 1], qq[0][k >> 1] + qq[1][k & 1]);
      }
      if (UNLIKELY(any(better))) {
        UNROLLED for (int k = 0; k < 4; k++) {
          iq1_take(&r, xq[0][k >> 1] + xq[1][k & 1], qq[0][k >> 1] + qq[1][k & 1], first, second, k);
        }
      }
    }
  }
  return r;
}

// What a split says: codes of the eights and their numbers in the grid. A negative scale is made positive, which turns levels and
// shifts round.
INLINE void iq1_levels(int n, const vf *x, const struct iq1_sorted *s, struct iq1_split *r, vu *codes, vu *numbers) {
  vf x_first = all(__builtin_inff()), x_second = x_first;
  vi place_first = (vi){} + n, place_second = place_first;
  for (int j = 0; j < n; j++) {
    vi is_first = r->first == j, is_second = r->second == j;
    x_first = choose(is_first, s->x[j], x_first);
    x_second = choose(is_second, s->x[j], x_second);
    place_first = (is_first & s->place[j]) | (~is_first & place_first);
    place_second = (is_second & s->place[j]) | (~is_second & place_second);
  }
  vi turns = r->scale < 0;
  r->scale = choose(turns, -r->scale, r->scale);
  r->shifts ^= turns & 3;
  for (int eight = 0; eight < n / 8; eight++) {
    vu code = {}, number = {};
    uint32_t power = 1;
    UNROLLED for (int i = 0; i < 8; i++) {
      int place = 8 * eight + i;
      vf v = x[place];
      vi before = (v < x_first) | ((v == x_first) & (place_first > place));
      vi between = (v < x_second) | ((v == x_second) & (place_second > place));
      vi below = before + between;  // minus how many
      vu level = (vu)((turns & -below) | (~turns & (below + 2)));
      code |= level << 2 * i;
      number += level * power;
      power *= 3;
    }
    codes[eight] = code & (vu)r->is_found;
    numbers[eight] = number & (vu)r->is_found;
  }
}

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
INLINE vi iq1_move(const struct quern_grid_8 *grid, int n, const float *x, const float *w, const struct iq1_split *r, vu *codes,
                   const vu *numbers, vi *is_lost) {
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

// 1. qs, 32 bytes; 2. qh, 16 bytes: of an entry the upper three bits and the shift in a nibble; 3. scales, 4 words: of four groups,
// and a nibble of d uppermost.
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
