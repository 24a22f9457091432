// x ~ scale * l, l in -top..<top: make_qx_quants with weights, a sub-block a lane, and make_q3_quants.

struct symmetric {
  vf scale;
  vf inverse;  // the levels of the best candidate are those of inverse * x
  vi alive;    // not all zero
};

// Value of largest magnitude, the first of them.
INLINE vf extreme(int n, const vf *x, int stride, vi *alive) {
  vf maximum = {}, size = {};
  for (int i = 0; i < n; i++) {
    vf xi = x[i * stride], a = magnitude(xi);
    maximum = choose(a > size, xi, maximum);
    size = larger(a, size);
  }
  *alive = ~(size < 1e-15f);
  return maximum;
}

// Sums of w x l and w l^2 for `count` candidates, which move the end of the range by tenths: -(top + step / 10) / maximum.
//
// |v| is at most top + step / 10, so that only some of the candidates can leave the levels on either side. `wild` values may
// be anything.
INLINE void symmetric_candidates(int n, int top, int first_step, int count, bool wild, const vf *x, const vf *w,
                                 const vf *wx, int stride, vf maximum, vf *xl, vf *ll) {
  vf inverse[5], sum_xl[5], sum_ll[5];
  for (int c = 0; c < count; c++) {
    inverse[c] = -((float)top + 0.1f * (float)(first_step + c)) / maximum;
    sum_xl[c] = sum_ll[c] = (vf){};
  }
#pragma clang loop unroll_count(2)
  for (int i = 0; i < n; i++) {
    vf xi = x[i * stride], wi = w[i * stride], wxi = wx[i * stride];
    UNROLLED for (int c = 0; c < count; c++) {
      vf v = inverse[c] * xi, l;
      if (wild) {
        l = integer(clamped_bits(rounded_bits(v), -top, top - 1));
      } else {
        l = nearest(v);
        if (first_step + count > 5) l = larger(l, all((float)-top));
        if (first_step > -6) l = smaller(l, all((float)(top - 1)));
      }
      sum_xl[c] += wxi * l;
      sum_ll[c] += wi * l * l;
    }
  }
  for (int c = 0; c < count; c++) {
    xl[c] = sum_xl[c];
    ll[c] = sum_ll[c];
  }
}

// x, w, wx = w x: n vectors, `stride` apart.
INLINE struct symmetric symmetric_search(int n, int top, bool wild, const vf *x, const vf *w, const vf *wx, int stride) {
  struct symmetric result;
  vf maximum = extreme(n, x, stride, &result.alive);
  vf xl[19], ll[19];
  symmetric_candidates(n, top, -9, 4, wild, x, w, wx, stride, maximum, xl, ll);
  symmetric_candidates(n, top, -5, 5, wild, x, w, wx, stride, maximum, xl + 4, ll + 4);
  symmetric_candidates(n, top, 0, 5, wild, x, w, wx, stride, maximum, xl + 9, ll + 9);
  symmetric_candidates(n, top, 5, 5, wild, x, w, wx, stride, maximum, xl + 14, ll + 14);

  vf best, step = {};
  result.scale = keep(ll[9] != 0, xl[9] / ll[9]);
  best = result.scale * xl[9];
  UNROLLED for (int c = 0; c < 19; c++) {
    if (c == 9) continue;
    vf scale = xl[c] / ll[c];
    vi better = (ll[c] > 0) & (xl[c] * xl[c] > best * ll[c]);
    best = choose(better, scale * xl[c], best);
    result.scale = choose(better, scale, result.scale);
    step = choose(better, all(0.1f * (float)(c - 9)), step);
  }
  result.scale = keep(result.alive, result.scale);
  result.inverse = -((float)top + step) / maximum;
  return result;
}

// One element of `refined_search`: its level, and what depends on that.
struct refined {
  vf x, level;
  vf xl, ll;      // its part of the sums
  vf from, to;    // between these multiples of sum x l the level surely stays
};

INLINE void refined_place(struct refined *e, int top, vf level) {
  vf w = e->x * e->x;
  e->level = level;
  e->xl = w * e->x * level;
  e->ll = w * level * level;
  e->from = choose(level <= (float)-top, all(-__builtin_inff()), level - 0.499f);
  e->to = choose(level >= (float)(top - 1), all(__builtin_inff()), level + 0.499f);
}

// Moves the level of one element where that improves the fit; the lanes where it did.
INLINE vi refined_move(struct refined *e, int top, vf *xl, vf *ll) {
  vf new_xl = *xl - e->xl;
  vf new_ll = *ll - e->ll;
  vf level = integer(clamped_bits(rounded_bits(e->x * new_ll / new_xl), -top, top - 1));
  vi moves = (new_xl > 0) & (level != e->level);
  vf w = e->x * e->x;
  new_xl += w * e->x * level;
  new_ll += w * level * level;
  moves &= (new_ll > 0) & (new_xl * new_xl * *ll > *xl * *xl * new_ll);
  refined_place(e, top, choose(moves, level, e->level));
  *xl = choose(moves, new_xl, *xl);
  *ll = choose(moves, new_ll, *ll);
  return moves;
}

enum { REFINED_GROUPS = 4 };

// The unweighted search of Q3_K (make_q3_quants): single levels are moved while that improves the fit with weights x^2.
//
// x, levels (n, REFINED_GROUPS), n <= 16.
//
// In the first round many levels move, and the groups hide one another's latency. In the others few do: whether one might is
// seen without a division, with room for the rounding of the test, and only then the move is worked out. A lane without a
// change would not change in a further round either, so all go on until none does.
INLINE void refined_search(int n, int top, const vf *x, vf *levels, struct symmetric *result) {
  enum { G = REFINED_GROUPS };
  struct refined elements[16][G];
  vf xl[G], ll[G];
  vi changed[G];
  for (int g = 0; g < G; g++) {
    vf inverse = (float)-top / extreme(n, x + g, G, &result[g].alive);
    vi alive = result[g].alive;
    xl[g] = ll[g] = (vf){};
    for (int i = 0; i < n; i++) {
      struct refined *e = &elements[i][g];
      e->x = keep(alive, x[i * G + g]);
      refined_place(e, top, keep(alive, smaller(nearest(inverse * e->x), all((float)(top - 1)))));
      xl[g] += e->xl;
      ll[g] += e->ll;
    }
    // With these sums the levels of a dead lane surely stay.
    xl[g] = choose(alive, xl[g], all(1));
    changed[g] = (vi){};
  }
  for (int i = 0; i < n; i++) {
    UNROLLED for (int g = 0; g < G; g++) changed[g] |= refined_move(&elements[i][g], top, xl + g, ll + g);
  }
  for (int g = 0; g < G; g++) {
    for (int round = 1; round < 5 && any(changed[g]); round++) {
      changed[g] = (vi){};
      for (int i = 0; i < n; i++) {
        struct refined *e = &elements[i][g];
        vf new_xl = xl[g] - e->xl;
        vf scaled = e->x * (ll[g] - e->ll);
        vi stays = (e->from * new_xl < scaled) & (scaled < e->to * new_xl) & (new_xl > 0x1p-100f);
        if (any(~(stays | (new_xl <= 0)))) changed[g] |= refined_move(e, top, xl + g, ll + g);
      }
    }
    for (int i = 0; i < n; i++) levels[i * G + g] = elements[i][g].level;
    result[g].scale = keep(result[g].alive & (ll[g] > 0), xl[g] / ll[g]);
    result[g].inverse = (vf){};
  }
}
