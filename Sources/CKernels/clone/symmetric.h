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

// The unweighted search of Q3_K: single levels are moved while that improves the fit with weights x^2. x (n, GROUPS).
//
// A lane without a change would not change in a further round either, so all may go on until none does.
INLINE void refined_search(int n, int top, const vf *x, vf *l, struct symmetric *result) {
  vf xl[GROUPS], ll[GROUPS];
  for (int g = 0; g < GROUPS; g++) {
    vf inverse = (float)-top / extreme(n, x + g, GROUPS, &result[g].alive);
    xl[g] = ll[g] = (vf){};
    for (int i = 0; i < n; i++) {
      vf xi = x[i * GROUPS + g], w = xi * xi;
      vf level = smaller(nearest(inverse * xi), all((float)(top - 1)));
      l[i * GROUPS + g] = level;
      xl[g] += w * xi * level;
      ll[g] += w * level * level;
    }
  }
  for (int round = 0; round < 5; round++) {
    vi changed = {};
    for (int i = 0; i < n; i++) {
      UNROLLED for (int g = 0; g < GROUPS; g++) {
        vf xi = x[i * GROUPS + g], old = l[i * GROUPS + g];
        vf w = xi * xi;
        vf wx = w * xi;
        vf new_xl = xl[g] - wx * old;
        vf new_ll = ll[g] - w * old * old;
        vi ok = new_xl > 0;
        vf level = integer(clamped_bits(rounded_bits(xi * new_ll / new_xl), -top, top - 1));
        ok &= level != old;
        new_xl += wx * level;
        new_ll += w * level * level;
        ok &= (new_ll > 0) & (new_xl * new_xl * ll[g] > xl[g] * xl[g] * new_ll);
        ok &= result[g].alive;
        l[i * GROUPS + g] = choose(ok, level, old);
        xl[g] = choose(ok, new_xl, xl[g]);
        ll[g] = choose(ok, new_ll, ll[g]);
        changed |= ok;
      }
    }
    if (!any(changed)) break;
  }
  for (int g = 0; g < GROUPS; g++) result[g].scale = keep(result[g].alive & (ll[g] > 0), xl[g] / ll[g]);
}
