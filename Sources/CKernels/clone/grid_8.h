// Groups of eight levels that must be entries of a grid (IQ2 and IQ1).

typedef float float8 __attribute__((vector_size(32)));

// The code of the first neighbour of `group` with the least error, or -1 where every error is beyond all numbers. error[q][i] is
// what weight i adds to it with level q.
INLINE int grid_8_nearest(const struct quern_grid_8 *grid, int group, const float error[3][8]) {
  typedef uint16_t codes_of_lanes __attribute__((vector_size(2 * LANES)));
  const uint16_t *neighbours = grid->neighbours + QUERN_GRID_8_CHUNK * grid->first_chunk_of[group];
  const int count = grid->neighbours_of[group];
  vf least = all(__FLT_MAX__);
  vu place = {};
  for (int at = 0; at < count; at += LANES) {
    codes_of_lanes narrow;
    __builtin_memcpy(&narrow, neighbours + at, sizeof narrow);
    vu code = __builtin_convertvector(narrow, vu);
    vf sum = {};
    UNROLLED for (int i = 0; i < 8; i++) {
      vi one = (code & (1u << 2 * i)) != 0, two = (code & (2u << 2 * i)) != 0;
      sum += choose(two, all(error[2][i]), choose(one, all(error[1][i]), all(error[0][i])));
    }
    vi better = sum < least;
    least = choose(better, sum, least);
    place = ((vu)better & (uint32_t)at) | (~(vu)better & place);
  }
  // No error is negative, so that they are in the order of their bits. Of equal ones the earlier neighbour's.
  int32_t smallest = __builtin_reduce_min((vi)least);
  if (UNLIKELY(smallest == 0x7f7fffff)) return -1;
  uint32_t lanes = lane_mask((vi)least == smallest), places[LANES];
  if (count <= LANES) return neighbours[__builtin_ctz(lanes)];
  __builtin_memcpy(places, &place, sizeof places);
  uint32_t first = places[__builtin_ctz(lanes)] + (uint32_t)__builtin_ctz(lanes);
  while (UNLIKELY(lanes &= lanes - 1)) {
    uint32_t other = places[__builtin_ctz(lanes)] + (uint32_t)__builtin_ctz(lanes);
    if (other < first) first = other;
  }
  return neighbours[first];
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
  float8 xs, roots;
  float error[3][8];
  __builtin_memcpy(&xs, x, sizeof xs);
  __builtin_memcpy(&roots, root, sizeof roots);
  UNROLLED for (int q = 0; q < 3; q++) {
    float8 difference = scale * (float)(2 * q + 1) - xs, squared = roots * difference * difference;
    __builtin_memcpy(error[q], &squared, sizeof squared);
  }
  int nearest = grid_8_nearest(grid, (int)number, error);
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

  float scale = f.xxs ? maximum / 3.0f : maximum / 5.0f, best = 0;
  if (f.xxs) scale = group->scale;
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
