// Scalar levels, rows side by side: lane k of a vector holds row k, so that every sum of a row is taken in the order of its
// definition. All arrays of rows are (…, stride): one weight of all rows, then the next weight of all rows.

typedef double vd __attribute__((vector_size(8 * LANES)));

INLINE vi load_integers(const int32_t *p) {
  vi v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

INLINE void store_integers(int32_t *p, vi v) { __builtin_memcpy(p, &v, sizeof v); }

// What a compiler must know of a format to give it loops of its own.
struct level_kind {
  int group;        // weights that share a scale
  bool is_uniform;  // else the levels of IQ4
  bool has_offset;
  bool weighs_rows;  // whether every row has weights of its own, (elements, stride) as x; else they are (elements)
};

struct level_scale {
  vf scale, inverse, offset;
};

INLINE struct level_scale level_scale(vf scale, vf offset) {
  return (struct level_scale){scale, (vf)(~(scale == 0) & (vi)(1 / scale)), offset};
}

// The weights from number i on.
INLINE const float *weights_from(struct level_kind kind, const float *w, int64_t stride, int i) {
  return w + (kind.weighs_rows ? i * stride : i);
}

INLINE vf weight_at(struct level_kind kind, const float *w, int64_t stride, int i) {
  return kind.weighs_rows ? load(w + i * stride) : all(w[i]);
}

// The value of the level nearest to v; the lower one of two in the middle. Of NaN the first.
INLINE vf uneven_nearest(vf v) {
  vf q = all(iq4_levels[0]);
  UNROLLED for (int i = 0; i < 15; i++) q = choose(v > iq4_middles[i], all(iq4_levels[i + 1]), q);
  return q;
}

// Its number.
INLINE vu uneven_code(vf v) {
  vu code = {};
  UNROLLED for (int i = 0; i < 15; i++) code -= (vu)(v > iq4_middles[i]);
  return code;
}

// The value of the level nearest to v, to the even one of two in the middle where levels are uniform. Of NaN the first.
INLINE vf level_nearest(struct level_kind kind, const struct quern_levels *f, vf v) {
  if (!kind.is_uniform) return uneven_nearest(v);
  return smaller(all(f->high), larger(v + ROUNDER - ROUNDER, all(f->low)));
}

// Sums of w (x - value)^2 of one group for n scales with one offset, in eight parts that are added in order.
INLINE void level_errors(struct level_kind kind, const struct quern_levels *f, const float *x, int64_t stride,
                         const float *w, int n, const struct level_scale *s, vf *error) {
  for (int part = 0; part < 8; part++) {
    vf sum[3];
    UNROLLED for (int c = 0; c < n; c++) sum[c] = (vf){};
    UNROLLED for (int i = 0; i < kind.group; i += 8) {
      vf value = load(x + (i + part) * stride);
      vf weight = weight_at(kind, w, stride, i + part);
      if (kind.is_uniform) value += s[0].offset;
      UNROLLED for (int c = 0; c < n; c++) {
        vf level = value * s[c].inverse;
        if (kind.is_uniform) {
          // NaN stays, and is no error smaller than another.
          level = level + ROUNDER - ROUNDER;
          level = smaller(all(f->high), larger(all(f->low), level));
        } else {
          level = uneven_nearest(level);
        }
        vf difference = value - level * s[c].scale;
        sum[c] += weight * difference * difference;
      }
    }
    UNROLLED for (int c = 0; c < n; c++) error[c] = part == 0 ? sum[c] : error[c] + sum[c];
  }
}

// Moves the codes of one group to the best of their neighbours until none is better, four steps at most.
INLINE void group_improve(struct level_kind kind, const struct quern_levels *f, const float *x, int64_t stride,
                          const float *w, vf d, vf dmin, int32_t *codes, int32_t *minimums) {
  vi code = load_integers(codes), minimum = load_integers(minimums);
  vf best = {};
  int span = kind.has_offset ? 1 : 0;
  for (int step = 0; step < 4; step++) {
    vf errors[3][3];  // by the step of the minimum, then of the code
    for (int m = -span; m <= span; m++) {
      vf offset = {};
      if (kind.has_offset) offset = dmin * __builtin_convertvector(minimum + m, vf);
      struct level_scale s[3];
      UNROLLED for (int c = 0; c < 3; c++) s[c] = level_scale(d * __builtin_convertvector(code + (c - 1), vf), offset);
      level_errors(kind, f, x, stride, w, 3, s, errors[m + span]);
    }
    if (step == 0) best = errors[span][1];
    vi code_step = {}, minimum_step = {};
    vi moved = {};
    UNROLLED for (int c = -1; c <= 1; c++) {
      UNROLLED for (int m = -span; m <= span; m++) {
        if (c == 0 && m == 0) continue;
        vi to = code + c, below = minimum + m;
        vi better = (errors[m + span][c + 1] < best) & (to >= f->code_low) & (to <= f->code_high);
        if (kind.has_offset) better &= (below >= f->code_low) & (below <= f->code_high);
        best = choose(better, errors[m + span][c + 1], best);
        code_step = (better & c) | (~better & code_step);
        minimum_step = (better & m) | (~better & minimum_step);
        moved |= better;
      }
    }
    code += code_step;
    minimum += minimum_step;
    if (!any(moved)) break;
  }
  store_integers(codes, code);
  store_integers(minimums, minimum);
}

INLINE vf half_of(vf v) { return half_value(half_bits(v)); }

INLINE vi is_finite(vf v) { return magnitude(v) < __builtin_inff(); }

// Of the whole block: the error with scales d and dmin.
INLINE vf block_error(struct level_kind kind, const struct quern_levels *f, const float *x, int64_t stride,
                      const float *w, vf d, vf dmin, const int32_t *codes, const int32_t *minimums) {
  vf total = {};
  for (int g = 0; g * kind.group < f->elements; g++) {
    vf offset = {}, error;
    if (kind.has_offset) offset = dmin * __builtin_convertvector(load_integers(minimums + g * stride), vf);
    struct level_scale s = level_scale(d * __builtin_convertvector(load_integers(codes + g * stride), vf), offset);
    level_errors(kind, f, x + g * kind.group * stride, stride,
                 weights_from(kind, w, stride, g * kind.group), 1, &s, &error);
    total += error;
  }
  return total;
}

// Least squares of d and dmin for the levels that the values lie nearest to now; kept when the error falls.
INLINE void block_refit(struct level_kind kind, const struct quern_levels *f, const float *x, int64_t stride,
                        const float *w, float *ds, float *dmins, const int32_t *codes, const int32_t *minimums) {
  vf d = load(ds), dmin = load(dmins);
  vd aa = {}, ab = {}, bb = {}, ax = {}, bx = {};
  for (int g = 0; g * kind.group < f->elements; g++) {
    vi code = load_integers(codes + g * stride), minimum = load_integers(minimums + g * stride);
    vf offset = {};
    if (kind.has_offset) offset = dmin * __builtin_convertvector(minimum, vf);
    struct level_scale s = level_scale(d * __builtin_convertvector(code, vf), offset);
    vd factor = __builtin_convertvector(code, vd), b = -__builtin_convertvector(minimum, vd);
    for (int i = g * kind.group; i < (g + 1) * kind.group; i++) {
      vf value = load(x + i * stride);
      vf level = level_nearest(kind, f, (value + s.offset) * s.inverse);
      vd a = factor * __builtin_convertvector(level, vd), v = __builtin_convertvector(value, vd);
      vd weight = __builtin_convertvector(weight_at(kind, w, stride, i), vd);
      vd wa = weight * a;
      aa += wa * a;
      ax += wa * v;
      if (kind.has_offset) {
        vd wb = weight * b;
        ab += wa * b;
        bb += wb * b;
        bx += wb * v;
      }
    }
  }
  typedef int64_t vl __attribute__((vector_size(8 * LANES)));
  vl has_both = bb > 0, is_sound;
  vd determinant = aa * bb - ab * ab;
  is_sound = (has_both & (determinant > 1e-12 * aa * bb)) | (~has_both & (aa > 0));
  vd d_solved = (ax * bb - bx * ab) / determinant, dmin_solved = (bx * aa - ax * ab) / determinant;
  vf d_alone = half_of(__builtin_convertvector(ax / aa, vf));
  vf d_both = half_of(__builtin_convertvector(d_solved, vf));
  vf dmin_both = half_of(__builtin_convertvector(dmin_solved, vf));
  vi both = __builtin_convertvector(has_both, vi), sound = __builtin_convertvector(is_sound, vi);
  vf new_d = choose(both, d_both, d_alone), new_dmin = choose(both, dmin_both, dmin);
  sound &= is_finite(new_d) & is_finite(new_dmin);
  // Where nothing is found, numbers that are no trouble.
  new_d = choose(sound, new_d, d);
  new_dmin = choose(sound, new_dmin, dmin);
  vf now = block_error(kind, f, x, stride, w, new_d, new_dmin, codes, minimums);
  vf before = block_error(kind, f, x, stride, w, d, dmin, codes, minimums);
  vi better = sound & (now < before);
  store(ds, choose(better, new_d, d));
  store(dmins, choose(better, new_dmin, dmin));
}

INLINE void block_refine(struct level_kind kind, const struct quern_levels *f, int64_t rows, const float *x,
                         int64_t stride, const float *w, const struct quern_scales *s, int rounds) {
  for (int64_t row = 0; row < rows; row += LANES) {
    const float *weights = w + (kind.weighs_rows ? row : 0);
    for (int round = 0; round < rounds; round++) {
      if (f->has_codes) {
        for (int g = 0; g * kind.group < f->elements; g++) {
          int first = g * kind.group;
          group_improve(kind, f, x + first * stride + row, stride, weights_from(kind, weights, stride, first),
                        load(s->d + row), load(s->dmin + row), s->codes + g * stride + row,
                        s->minimums + g * stride + row);
        }
      }
      block_refit(kind, f, x + row, stride, weights, s->d + row, s->dmin + row, s->codes + row, s->minimums + row);
    }
  }
}

// The scale of a group as it stands.
INLINE struct level_scale scale_of(struct level_kind kind, const struct quern_scales *s, int group, int64_t stride,
                                   int64_t row) {
  vf offset = {};
  int64_t at = group * stride + row;
  if (kind.has_offset) offset = load(s->dmin + row) * __builtin_convertvector(load_integers(s->minimums + at), vf);
  return level_scale(load(s->d + row) * __builtin_convertvector(load_integers(s->codes + at), vf), offset);
}

// The level nearest to v, as its number and as what it is read back as.
INLINE vf level_stored(struct level_kind kind, const struct quern_levels *f, struct level_scale s, vf v, uint8_t *level)
{
  vf scaled = (v + s.offset) * s.inverse;
  vf value = level_nearest(kind, f, scaled);
  store_bytes(level, kind.is_uniform ? (vu)__builtin_convertvector(value - f->low, vi) : uneven_code(scaled));
  vf product = s.scale * value;
  return kind.has_offset ? product - s.offset : product;
}

INLINE void block_levels(struct level_kind kind, const struct quern_levels *f, int64_t rows, const float *x,
                         int64_t stride, const struct quern_scales *s, uint8_t *levels) {
  for (int64_t row = 0; row < rows; row += LANES) {
    for (int g = 0; g * kind.group < f->elements; g++) {
      struct level_scale scale = scale_of(kind, s, g, stride, row);
      for (int i = g * kind.group; i < (g + 1) * kind.group; i++) {
        level_stored(kind, f, scale, load(x + i * stride + row), levels + i * stride + row);
      }
    }
  }
}

// Calls `body` with the kind of `f` as a constant.
#define FOR_KIND(f, weighs_rows, body)                                                        \
  do {                                                                                        \
    if (!(f)->is_uniform) {                                                                   \
      body(((struct level_kind){32, false, false, weighs_rows}));                             \
    } else if ((f)->group == 16) {                                                            \
      if ((f)->has_offset) body(((struct level_kind){16, true, true, weighs_rows}));          \
      else body(((struct level_kind){16, true, false, weighs_rows}));                         \
    } else if ((f)->has_offset) {                                                             \
      body(((struct level_kind){32, true, true, weighs_rows}));                               \
    } else {                                                                                  \
      body(((struct level_kind){32, true, false, weighs_rows}));                              \
    }                                                                                         \
  } while (0)

static void refine_levels(const struct quern_levels *f, int64_t rows, const float *x, int64_t stride, const float *w,
                          bool weighs_rows, const struct quern_scales *s, int rounds) {
#define REFINE(kind) block_refine(kind, f, rows, x, stride, w, s, rounds)
  if (weighs_rows) FOR_KIND(f, true, REFINE);
  else FOR_KIND(f, false, REFINE);
#undef REFINE
}

static void find_levels(const struct quern_levels *f, int64_t rows, const float *x, int64_t stride,
                        const struct quern_scales *s, uint8_t *levels) {
#define LEVELS(kind) block_levels(kind, f, rows, x, stride, s, levels)
  FOR_KIND(f, false, LEVELS);
#undef LEVELS
}
