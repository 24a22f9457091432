// The neighbour of least error among the entries of a grid of fours, eight neighbours at a time on every set.

typedef float f32x8 __attribute__((vector_size(32)));
typedef uint32_t u32x8 __attribute__((vector_size(32)));
typedef uint16_t u16x8 __attribute__((vector_size(16)));

// Errors of the eight neighbours at `list`, root (scale (2 l + 1) - x)^2 summed over the four.
INLINE void grid_4_errors(const uint16_t *list, const float *x, const float *root, float scale, f32x8 *errors) {
  u16x8 packed;
  __builtin_memcpy(&packed, list, sizeof packed);
  u32x8 codes = __builtin_convertvector(packed, u32x8);
  f32x8 sum = {};
#if defined(__x86_64__) && LANES >= 8
  // Of the eight levels that each can have; a permutation looks at the lowest three bits.
  typedef int32_t i32x8 __attribute__((vector_size(32)));
  const f32x8 of_level = scale * (f32x8){1, 3, 5, 7, 9, 11, 13, 15};
  UNROLLED for (int i = 0; i < 4; i++) {
    f32x8 difference = of_level - x[i];
    sum += __builtin_ia32_permvarsf256(root[i] * difference * difference, (i32x8)(codes >> 3 * i));
  }
#else
  UNROLLED for (int i = 0; i < 4; i++) {
    f32x8 level = __builtin_convertvector((codes >> 3 * i & 7) * 2 + 1, f32x8);
    f32x8 difference = scale * level - x[i];
    sum += root[i] * difference * difference;
  }
#endif
  *errors = sum;
}

// The place of the first lane that is set.
INLINE int first_of_8(const u32x8 *mask) {
#if defined(__x86_64__) && LANES >= 8
  typedef bool bits __attribute__((ext_vector_type(8)));
  bits b = __builtin_convertvector(*mask, bits);
  uint8_t m;
  __builtin_memcpy(&m, &b, 1);
  return __builtin_ctz(m);
#else
  return 8 - (int)__builtin_reduce_max(*mask & (u32x8){8, 7, 6, 5, 4, 3, 2, 1});
#endif
}

// The first of the neighbours of `code` with the least error. `*lost` is set where no error is below the largest float.
INLINE uint16_t grid_4_nearest(const struct quern_grid_4 *grid, uint32_t code, const float *x, const float *root, float scale,
                               bool *lost) {
  const uint32_t largest = 0x7f7fffffu;
  const uint16_t *list = grid->neighbours + QUERN_GRID_4_CHUNK * grid->first_chunk_of[code];
  uint32_t least = largest;
  uint16_t nearest = list[0];
  for (int left = grid->neighbours_of[code]; left > 0; left -= 8, list += 8) {
    f32x8 sums;
    grid_4_errors(list, x, root, scale, &sums);
    // Errors are not negative, so that their bits are in their order, and those of NaN above all.
    u32x8 errors = __builtin_elementwise_min((u32x8)sums, (u32x8){} + largest);
    uint32_t smallest = __builtin_reduce_min(errors);
    if (smallest < least) {
      least = smallest;
      u32x8 is_smallest = (u32x8)(errors == smallest);
      nearest = list[first_of_8(&is_smallest)];
    }
  }
  if (UNLIKELY(least == largest)) *lost = true;
  return nearest;
}

// 32 weights a lane, searched for a scale and entries.
struct grid_4_batch {
  const struct quern_grid_4 *grid;
  vf x[32 + 1], w[32 + 3], wx[32 + 5];
  // (LANES, 32): x, and the roots of the weights.
  float x_rows[32 * LANES], root_rows[32 * LANES];
  bool lost[LANES];
};

// vectors (32) -> rows (LANES, 32)
INLINE void store_rows(const vf *columns, float *rows) {
  for (int c = 0; c < 32; c += LANES) {
    vf r[LANES];
    UNROLLED for (int k = 0; k < LANES; k++) r[k] = columns[c + k];
    transpose(r);
    UNROLLED for (int k = 0; k < LANES; k++) store(rows + 32 * k + c, r[k]);
  }
}

// The codes of the levels nearest to inverse * x, where `wanted`; else of zeros, which are an entry.
INLINE void grid_4_round(const struct grid_4_batch *s, vf inverse, vi wanted, vu *codes) {
  UNROLLED for (int four = 0; four < 8; four++) {
    vu code = {};
    UNROLLED for (int i = 0; i < 4; i++) {
      vf v = 0.5f * (inverse * s->x[4 * four + i] - 1.0f);
      code |= (clamped_bits(rounded_bits(v), 0, 7) & 7u) << 3 * i;
    }
    codes[four] = code & (vu)wanted;
  }
}

// Moves the codes that are no entries to the nearest neighbours, each with the scale of its lane.
INLINE void grid_4_move(struct grid_4_batch *s, vf scale, vu *codes) {
  const struct quern_grid_4 *grid = s->grid;
  uint32_t code[8 * LANES];
  uint16_t off_grid[8 * LANES];
  float scales[LANES];
  int count = 0;
  __builtin_memcpy(code, codes, sizeof code);
  store(scales, scale);
  for (int at = 0; at < 8 * LANES; at++) {
    off_grid[count] = (uint16_t)at;
    count += grid->neighbours_of[code[at]] != 0;
  }
  for (int task = 0; task < count; task++) {
    int at = off_grid[task], lane = at % LANES, first = 32 * lane + at / LANES * 4;
    code[at] = grid_4_nearest(grid, code[at], s->x_rows + first, s->root_rows + first, scales[lane], s->lost + lane);
  }
  __builtin_memcpy(codes, code, sizeof code);
}

// Sums of w x q and w q^2.
INLINE void grid_4_fit(const struct grid_4_batch *s, const vu *codes, vf *xq, vf *qq) {
  vf sum_xq = {}, sum_qq = {};
  UNROLLED for (int i = 0; i < 32; i++) {
    vu level = codes[i / 4] >> 3 * (i % 4) & 7u;
    vf q = __builtin_convertvector((vi)(level * 2 + 1), vf);
    sum_xq += s->wx[i] * q;
    sum_qq += s->w[i] * q * q;
  }
  *xq = sum_xq;
  *qq = sum_qq;
}

// Fills `codes` (8); gives the scale, which may be negative, and zeros where not `alive`. Candidates spread the largest
// magnitude over 15 + step / 5; with the best scale the fours that had to move are placed once more, or `all` of them.
INLINE vf grid_4_search(struct grid_4_batch *s, int steps, bool all_again, vf maximum, vi alive, vu *codes) {
  vf scale = maximum / 15.0f, best = {}, xq, qq;
  vi moved[8];
  for (int k = 0; k < 8; k++) {
    codes[k] = (vu){};
    moved[k] = all_again ? alive : (vi){};
  }
  for (int step = -steps; step <= steps; step++) {
    vf inverse = (15.0f + (float)step * 0.2f) / maximum;
    vu rounded[8], placed[8];
    grid_4_round(s, inverse, alive, rounded);
    __builtin_memcpy(placed, rounded, sizeof placed);
    grid_4_move(s, 1.0f / inverse, placed);
    grid_4_fit(s, placed, &xq, &qq);
    vi better = alive & (qq > 0) & (xq * xq > best * qq);
    scale = choose(better, xq / qq, scale);
    best = choose(better, scale * xq, best);
    for (int k = 0; k < 8; k++) {
      codes[k] = ((vu)better & placed[k]) | (~(vu)better & codes[k]);
      moved[k] = (better & (placed[k] != rounded[k])) | (~better & moved[k]);
    }
  }

  vi again = {};
  for (int k = 0; k < 8; k++) again |= moved[k];
  again &= scale > 0;
  if (any(again)) {
    vf inverse = 1.0f / scale;
    vu placed[8];
    grid_4_round(s, inverse, again, placed);
    vi redone[8];
    for (int k = 0; k < 8; k++) {
      redone[k] = all_again ? again : again & moved[k];
      placed[k] &= (vu)redone[k];
    }
    grid_4_move(s, scale, placed);
    for (int k = 0; k < 8; k++) codes[k] = ((vu)redone[k] & placed[k]) | (~(vu)redone[k] & codes[k]);
    grid_4_fit(s, codes, &xq, &qq);
    scale = choose(again & (qq > 0), xq / qq, scale);
  }
  return keep(alive, scale);
}
