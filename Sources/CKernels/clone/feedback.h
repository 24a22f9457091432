// Rounding with error feedback, rows side by side as in levels.h; weights in the order of rounding.
//
// The definition adds an error to every later weight of the tile as soon as it is known. Here a weight takes up the errors
// before it when its turn comes: the same sums in the same order.

enum { TAKERS = LANES == 4 ? 4 : 8, SIDE_BY_SIDE = 2 };

// y[k] += coefficients[i][k] * e[i] for `n` weights k and every i below `count`, in order of i.
INLINE void take_errors(int n, int vectors, const float *coefficients, int64_t width, int64_t count, const float *e,
                        float *y, int64_t stride) {
  vf sum[TAKERS][SIDE_BY_SIDE];
  UNROLLED for (int k = 0; k < n; k++) {
    UNROLLED for (int v = 0; v < vectors; v++) sum[k][v] = load(y + k * stride + v * LANES);
  }
  for (int64_t i = 0; i < count; i++) {
    vf error[SIDE_BY_SIDE];
    UNROLLED for (int v = 0; v < vectors; v++) error[v] = load(e + i * stride + v * LANES);
    UNROLLED for (int k = 0; k < n; k++) {
      vf coefficient = all(coefficients[i * width + k]);
      UNROLLED for (int v = 0; v < vectors; v++) sum[k][v] += coefficient * error[v];
    }
  }
  UNROLLED for (int k = 0; k < n; k++) {
    UNROLLED for (int v = 0; v < vectors; v++) store(y + k * stride + v * LANES, sum[k][v]);
  }
}

static void take_up_errors(const float *coefficients, int64_t width, int64_t count, const float *e, float *y,
                           int64_t weights, int64_t rows, int64_t stride) {
  for (int64_t k = 0; k < weights; k += TAKERS) {
    int64_t row = 0;
    for (; row + SIDE_BY_SIDE * LANES <= rows; row += SIDE_BY_SIDE * LANES) {
      take_errors(TAKERS, SIDE_BY_SIDE, coefficients + k, width, count, e + row, y + k * stride + row, stride);
    }
    for (; row < rows; row += LANES) {
      take_errors(TAKERS, 1, coefficients + k, width, count, e + row, y + k * stride + row, stride);
    }
  }
}

// One group: `first` is where it begins in the block, in the order of rounding.
INLINE void group_round(struct level_kind kind, const struct quern_levels *f, const struct quern_feedback *b, int first,
                        int64_t row, int vectors, int64_t stride, const struct quern_scales *s) {
  int group = b->places[first] / kind.group;
  struct level_scale scale[SIDE_BY_SIDE];
  if (b->refines && f->has_codes) {
    for (int v = 0; v < vectors; v++) {
      float values[32 * LANES];
      for (int i = 0; i < kind.group; i++) {
        store(values + b->places[first + i] % kind.group * LANES, load(b->y + (first + i) * stride + row + v * LANES));
      }
      int64_t at = row + v * LANES;
      // The codes lie a stride apart, the values here a vector.
      group_improve(kind, f, values, LANES, b->weights + group * kind.group, load(s->d + at), load(s->dmin + at),
                    s->codes + group * stride + at, s->minimums + group * stride + at);
    }
  }
  UNROLLED for (int v = 0; v < vectors; v++) scale[v] = scale_of(kind, s, group, stride, row + v * LANES);
  for (int i = first; i < first + kind.group; i++) {
    vf error[SIDE_BY_SIDE];
    int place = b->places[i];
    UNROLLED for (int v = 0; v < vectors; v++) {
      int64_t at = i * stride + row + v * LANES;
      vf value = load(b->y + at);
      vf stored = level_stored(kind, f, scale[v], value, b->levels + place * stride + row + v * LANES);
      vf difference = value - stored;
      vd loss;
      __builtin_memcpy(&loss, b->loss + row + v * LANES, sizeof loss);
      loss += (double)b->weights[place] * __builtin_convertvector(difference * difference, vd);
      __builtin_memcpy(b->loss + row + v * LANES, &loss, sizeof loss);
      // What is stored as no number has no error that could be made good.
      vf rest = load(b->target + at) - stored;
      error[v] = keep(is_finite(rest), rest);
      store(b->errors + at, error[v]);
    }
    const float *coefficients = b->coefficients + i * b->width;
    for (int k = i + 1; k < first + kind.group; k++) {
      vf coefficient = all(coefficients[k]);
      UNROLLED for (int v = 0; v < vectors; v++) {
        float *y = b->y + k * stride + row + v * LANES;
        store(y, load(y) + coefficient * error[v]);
      }
    }
  }
}

INLINE void block_round(struct level_kind kind, const struct quern_levels *f, const struct quern_feedback *b,
                        int64_t rows, int64_t stride, const struct quern_scales *s) {
  for (int first = 0; first < f->elements; first += kind.group) {
    take_up_errors(b->coefficients + first, b->width, first, b->errors, b->y + first * stride, kind.group, rows, stride);
    int64_t row = 0;
    for (; row + SIDE_BY_SIDE * LANES <= rows; row += SIDE_BY_SIDE * LANES) {
      group_round(kind, f, b, first, row, SIDE_BY_SIDE, stride, s);
    }
    for (; row < rows; row += LANES) group_round(kind, f, b, first, row, 1, stride, s);
  }
}

static void round_levels(const struct quern_levels *f, const struct quern_feedback *b, int64_t rows, int64_t stride,
                         const struct quern_scales *s) {
#define ROUND(kind) block_round(kind, f, b, rows, stride, s)
  FOR_KIND(f, false, ROUND);
#undef ROUND
}
