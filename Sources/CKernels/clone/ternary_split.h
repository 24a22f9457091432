// The best split of weights into three levels for IQ1_S and IQ1_M, a group a lane. With the weights in ascending order a split
// is two places; every pair of places is tried with every shift (TernarySplit.swift).

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

// What a split says: codes of the eights and their numbers in the grid. A negative scale is made positive, which turns levels
// and shifts round.
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
