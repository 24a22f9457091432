// Groups of eight levels that must be entries of a grid (IQ2 and IQ1).

// Eight weights as the search for a neighbour wants them: each four times, for its levels.
enum { GRID_8_VECTORS = 32 / LANES };

struct grid_8_eight {
  vf x[GRID_8_VECTORS], w[GRID_8_VECTORS];
};

INLINE struct grid_8_eight grid_8_load(const float *x, const float *w) {
  struct grid_8_eight e;
  UNROLLED for (int v = 0; v < GRID_8_VECTORS; v++) {
    enum { WEIGHTS = LANES / 4 };
#if LANES == 4
    e.x[v] = all(x[v]);
    e.w[v] = all(w[v]);
#else
    typedef float weights __attribute__((vector_size(4 * WEIGHTS)));
    weights narrow_x, narrow_w;
    __builtin_memcpy(&narrow_x, x + WEIGHTS * v, sizeof narrow_x);
    __builtin_memcpy(&narrow_w, w + WEIGHTS * v, sizeof narrow_w);
#if LANES == 16
#define EACH_FOUR_TIMES 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3
#else
#define EACH_FOUR_TIMES 0, 0, 0, 0, 1, 1, 1, 1
#endif
    e.x[v] = __builtin_shufflevector(narrow_x, narrow_x, EACH_FOUR_TIMES);
    e.w[v] = __builtin_shufflevector(narrow_w, narrow_w, EACH_FOUR_TIMES);
#endif
  }
  return e;
}

// Three values, and again, as the levels lie in `grid_8_eight`.
INLINE vf grid_8_levels(float a, float b, float c) {
  vf v;
  UNROLLED for (int k = 0; k < LANES; k++) v[k] = k % 4 == 0 ? a : k % 4 == 1 ? b : c;
  return v;
}

// Of the errors of weight i on its levels those that the low nibbles of `selectors` name.
INLINE vf grid_8_selected(const vf *errors, int i, vu selectors) {
#if defined(__x86_64__) && LANES == 16
  return __builtin_ia32_permvarsf512(errors[i / 4], (vi)selectors);
#elif defined(__x86_64__) && LANES == 8
  return __builtin_ia32_permvarsf256(errors[i / 2], (vi)selectors);
#else
  vi one = (selectors & 1u) != 0, two = (selectors & 2u) != 0;
  vf e = errors[i];
  return choose(two, all(e[2]), choose(one, all(e[1]), all(e[0])));
#endif
}

// The smallest value in every lane. None is NaN.
INLINE vf grid_8_least(vf v) {
#if LANES == 16
  v = smaller(__builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7), v);
  v = smaller(__builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11), v);
  v = smaller(__builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13), v);
  return smaller(__builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14), v);
#elif LANES == 8
  v = smaller(__builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3), v);
  v = smaller(__builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5), v);
  return smaller(__builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6), v);
#else
  v = smaller(__builtin_shufflevector(v, v, 2, 3, 0, 1), v);
  return smaller(__builtin_shufflevector(v, v, 1, 0, 3, 2), v);
#endif
}

// The code of the first neighbour of `group` with the least error, or -1 where every error is beyond all numbers. `levels`:
// what the levels are worth.
INLINE int grid_8_nearest(const struct quern_grid_8 *grid, uint32_t group, const struct grid_8_eight *e, vf levels) {
  const uint32_t first = QUERN_GRID_8_CHUNK * (uint32_t)grid->first_chunk_of[group], count = grid->neighbours_of[group];
  vf errors[GRID_8_VECTORS];
  UNROLLED for (int v = 0; v < GRID_8_VECTORS; v++) {
    vf difference = levels - e->x[v];
    errors[v] = e->w[v] * difference * difference;
  }
  vf least = all(__FLT_MAX__);
  vu place = {}, lane;
  UNROLLED for (int k = 0; k < LANES; k++) lane[k] = (uint32_t)k;
  for (uint32_t at = 0; at < count; at += LANES) {
    vu selectors;
    __builtin_memcpy(&selectors, grid->selectors + first + at, sizeof selectors);
    vf sum = grid_8_selected(errors, 0, selectors);
    UNROLLED for (int i = 1; i < 8; i++) sum += grid_8_selected(errors, i, selectors >> 4 * i);
    vi better = sum < least;
    least = choose(better, sum, least);
    place = ((vu)better & (lane + at)) | (~(vu)better & place);
  }
  // Of equal errors the earlier neighbour's.
  vf smallest = grid_8_least(least);
  if (UNLIKELY(!(smallest[0] < __FLT_MAX__))) return -1;
  vi is_least = least == smallest;
  if (count <= LANES) return grid->neighbours[first + (uint32_t)__builtin_ctz(lane_mask(is_least))];
  return grid->neighbours[first + __builtin_reduce_min(((vu)is_least & place) | ~(vu)is_least)];
}

// The IQ2 formats, one of which each kernel is made for.
struct iq2_format {
  int size;               // weights of one scale
  int steps;              // candidates on either side
  bool xxs;
  bool has_even_signs;    // the eighth sign is not stored
  float epsilon;          // below this a group counts as zero
};

enum { IQ2_CANDIDATES = 32 };  // at most 19, filled up to whole vectors

struct iq2_group {
  float scale;
  bool is_stored;
  uint32_t codes[4];
};

// Levels nearest to inverse * x, a candidate a lane: codes and numbers of the eights.
INLINE void iq2_round(const float *x, int eights, vf inverse, vu *codes, vu *numbers) {
  for (int eight = 0; eight < eights; eight++) {
    vu code = {}, number = {};
    uint32_t power = 1;
    UNROLLED for (int i = 0; i < 8; i++) {
      vu level = clamped_bits(rounded_bits(0.5f * (inverse * x[8 * eight + i] - 1.0f)), 0, 2) - ZERO_BITS;
      code |= level << 2 * i;
      number += level * power;
      power *= 3;
    }
    codes[eight] = code;
    numbers[eight] = number;
  }
}

// Sums of w x q and w q^2, a candidate a lane.
INLINE void iq2_fit(const float *x, const float *w, int size, const vu *codes, vf *xq, vf *qq) {
  vf sum_xq = {}, sum_qq = {};
  for (int eight = 0; eight < size / 8; eight++) {
    UNROLLED for (int i = 0; i < 8; i++) {
      float wi = w[8 * eight + i];
      vf q = __builtin_convertvector((vi)((codes[eight] >> 2 * i & 3u) * 2u + 1u), vf);
      sum_xq += wi * x[8 * eight + i] * q;
      sum_qq += wi * q * q;
    }
  }
  *xq = sum_xq;
  *qq = sum_qq;
}

// The code of an eight off the grid becomes its nearest neighbour's. False where every error is beyond all numbers.
INLINE bool iq2_move(const struct quern_grid_8 *grid, const float *x, const float *root, float scale, uint32_t number,
                     uint32_t *code) {
  struct grid_8_eight e = grid_8_load(x, root);
  int nearest = grid_8_nearest(grid, number, &e, scale * grid_8_levels(1, 3, 5));
  if (nearest >= 0) *code = (uint32_t)nearest;
  return nearest >= 0;
}

// x ~ scale (2 l + 1), the levels of each eight an entry of the grid. False where ggml aborts. `maximum`: of x; of IQ2_XXS
// three times the scale of a fit without a grid.
INLINE bool iq2_search(struct iq2_format f, const struct quern_grid_8 *grid, const float *x, const float *w,
                       const float *root, float maximum, struct iq2_group *group) {
  const int eights = f.size / 8, candidates = 2 * f.steps + 1;
  const int padded = (candidates + LANES - 1) / LANES * LANES;
  uint32_t codes[4][IQ2_CANDIDATES], numbers[4][IQ2_CANDIDATES];
  float scales[IQ2_CANDIDATES], xq[IQ2_CANDIDATES], qq[IQ2_CANDIDATES];
  uint32_t moved[IQ2_CANDIDATES] = {0};
  for (int c = 0; c < padded; c += LANES) {
    vf inverse;
    UNROLLED for (int k = 0; k < LANES; k++) inverse[k] = 5.0f + (float)(c + k - f.steps) * 0.1f;
    inverse /= maximum;
    store(scales + c, 1.0f / inverse);
    vu code[4], number[4];
    iq2_round(x, eights, inverse, code, number);
    for (int eight = 0; eight < eights; eight++) {
      __builtin_memcpy(codes[eight] + c, code + eight, sizeof(vu));
      __builtin_memcpy(numbers[eight] + c, number + eight, sizeof(vu));
    }
  }
  for (int c = 0; c < candidates; c++) {
    for (int eight = 0; eight < eights; eight++) {
      uint32_t number = numbers[eight][c];
      if (grid->entry_of[number] >= 0) continue;
      if (!iq2_move(grid, x + 8 * eight, root + 8 * eight, scales[c], number, &codes[eight][c])) return false;
      moved[c] |= 1u << eight;
    }
  }
  for (int c = 0; c < padded; c += LANES) {
    vu code[4];
    vf sum_xq, sum_qq;
    for (int eight = 0; eight < eights; eight++) __builtin_memcpy(code + eight, codes[eight] + c, sizeof(vu));
    iq2_fit(x, w, f.size, code, &sum_xq, &sum_qq);
    store(xq + c, sum_xq);
    store(qq + c, sum_qq);
  }

  float scale = f.xxs ? group->scale : maximum / 5.0f, best = 0;
  int chosen = -1;
  for (int c = 0; c < candidates; c++) {
    if (qq[c] > 0 && xq[c] * xq[c] > best * qq[c]) {
      scale = xq[c] / qq[c];
      best = scale * xq[c];
      chosen = c;
    }
  }
  for (int eight = 0; eight < eights; eight++) group->codes[eight] = chosen >= 0 ? codes[eight][chosen] : 0;

  // Once more with the best scale: the eights that were moved, in IQ2_XXS all.
  uint32_t again = f.xxs ? 15u : chosen >= 0 ? moved[chosen] : 0;
  if (again && scale > 0) {
    vu code[4], number[4];
    vf sum_xq, sum_qq;
    iq2_round(x, eights, all(1.0f / scale), code, number);
    for (int eight = 0; eight < eights; eight++) {
      if (again >> eight & 1) {
        group->codes[eight] = code[eight][0];
        if (grid->entry_of[number[eight][0]] < 0 &&
            !iq2_move(grid, x + 8 * eight, root + 8 * eight, scale, number[eight][0], &group->codes[eight])) {
          return false;
        }
      }
      code[eight] = (vu){} + group->codes[eight];
    }
    iq2_fit(x, w, f.size, code, &sum_xq, &sum_qq);
    if (sum_qq[0] > 0) scale = sum_xq[0] / sum_qq[0];
  }
  group->scale = scale;
  group->is_stored = true;
  return scale == scale;
}

// The entry of a code on the grid.
INLINE uint32_t grid_8_entry(const struct quern_grid_8 *grid, uint32_t code) {
  uint32_t number = 0;
  UNROLLED for (int i = 7; i >= 0; i--) number = 3 * number + (code >> 2 * i & 3);
  return (uint32_t)grid->entry_of[number];
}
