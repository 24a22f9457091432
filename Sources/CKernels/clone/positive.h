// x ~ scale * l, l in 0...top, x not negative: make_qp_quants, a super-block a lane, `sets` independent problems side by side
// with the same weights.
//
// x (sets, n), w (n) -> l (sets, n) as integers cut to eight bits, scale (sets).
INLINE void positive_search(int sets, int n, int top, const vf *x, const vf *w, vu *l, vf *scale) {
  vf level[2 * 16], maximum[2], inverse[2], best[2], xl[2], ll[2];
  vi alive[2];
  const vf limit = all((float)top);
  for (int s = 0; s < sets; s++) {
    maximum[s] = (vf){};
    for (int i = 0; i < n; i++) maximum[s] = choose(maximum[s] > x[s * n + i], maximum[s], x[s * n + i]);
    alive[s] = ~(maximum[s] < 1e-15f);
    inverse[s] = limit / maximum[s];
    vf first = 1.0f / inverse[s];
    best[s] = (vf){};
    for (int i = 0; i < n; i++) {
      vu cut = rounded_bits(inverse[s] * x[s * n + i]) & 0xffu;
      vf difference = x[s * n + i] - first * integer(cut | ZERO_BITS);
      best[s] += w[i] * difference * difference;
    }
  }
  for (int step = -4; step <= 4; step++) {
    if (step == 0) continue;
    for (int s = 0; s < sets; s++) {
      vf candidate = (0.1f * (float)step + (float)top) / maximum[s];
      vf fit = 1.0f / candidate;
      vf error = {};
      for (int i = 0; i < n; i++) {
        vf a = smaller(integer(rounded_bits(candidate * x[s * n + i])), limit);
        vf difference = x[s * n + i] - fit * a;
        error += w[i] * difference * difference;
      }
      vi better = error < best[s];
      best[s] = choose(better, error, best[s]);
      inverse[s] = choose(better, candidate, inverse[s]);
    }
  }
  for (int s = 0; s < sets; s++) {
    xl[s] = ll[s] = (vf){};
    for (int i = 0; i < n; i++) {
      vf a = smaller(integer(rounded_bits(inverse[s] * x[s * n + i])), limit);
      level[s * n + i] = integer(((vu)(a + ROUNDER) & 0xffu) | ZERO_BITS);
      xl[s] += w[i] * x[s * n + i] * a;
      ll[s] += w[i] * a * a;
    }
  }
  // A lane without a change would not change in a further round either, so all may go on until none does.
  for (int round = 0; round < 5; round++) {
    vi changed = {};
    for (int i = 0; i < n; i++) {
      for (int s = 0; s < sets; s++) {
        vf xi = x[s * n + i], old = level[s * n + i];
        vf wx = w[i] * xi;
        vf new_xl = xl[s] - wx * old;
        vf new_ll = ll[s] - w[i] * old * old;
        vi ok = (new_xl > 0) & (new_ll > 0);
        vf a = smaller(integer(rounded_bits(xi * new_ll / new_xl)), limit);
        ok &= a != old;
        new_xl += wx * a;
        new_ll += w[i] * a * a;
        ok &= new_xl * new_xl * ll[s] > xl[s] * xl[s] * new_ll;
        level[s * n + i] = choose(ok, integer(((vu)(a + ROUNDER) & 0xffu) | ZERO_BITS), old);
        xl[s] = choose(ok, new_xl, xl[s]);
        ll[s] = choose(ok, new_ll, ll[s]);
        changed |= ok;
      }
    }
    if (!any(changed)) break;
  }
  for (int s = 0; s < sets; s++) {
    scale[s] = keep(alive[s] & (ll[s] > 0), xl[s] / ll[s]);
    for (int i = 0; i < n; i++) l[s * n + i] = (vu)alive[s] & (vu)(level[s * n + i] + ROUNDER) & 0xffu;
  }
}
