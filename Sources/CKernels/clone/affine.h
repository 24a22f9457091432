// x ~ scale * l - minimum, l in 0...top: the search of make_qkx2_quants and make_qkx3_quants, a sub-block a lane.

struct affine {
  vf scale, minimum;
  vf weight;            // sum of the weights
  vf inverse, low;      // the levels of the best candidate are those of inverse * (x - low)
};

struct affine_plan {
  int n;                // elements of a sub-block
  float top;            // largest level
  float from, by;       // candidate i stretches the range over top + from + by * i levels
  int last;             // i in 0...last
  bool absolute;        // errors are absolute, not squared
};

// Beyond this nearest_int is wrong, and `nearest` differs from it.
#define NEAREST_LIMIT 4194303.0f

struct affine_sums {
  vf l, ll, xl;
};

// Levels of one candidate, and the sums of w l, w l^2, w l x.
INLINE void affine_levels(struct affine_plan p, const vf *x, const vf *w, const vf *inverse, const vf *low, bool wild,
                          vf *l, struct affine_sums *s) {
  for (int g = 0; g < GROUPS; g++) s[g] = (struct affine_sums){};
#pragma clang loop unroll_count(4)
  for (int i = 0; i < p.n; i++) {
    UNROLLED for (int g = 0; g < GROUPS; g++) {
      vf xi = x[i * GROUPS + g], wi = w[i * GROUPS + g];
      vf v = inverse[g] * (xi - low[g]);
      vf level;
      if (wild) {
        level = integer(clamped_bits(rounded_bits(v), 0, (int)p.top));
      } else {
        level = nearest(smaller(larger(v, all(0)), all(p.top)));
      }
      l[i * GROUPS + g] = level;
      vf wl = wi * level;
      s[g].l += wl;
      s[g].ll += wl * level;
      s[g].xl += wl * xi;
    }
  }
}

INLINE void affine_error(struct affine_plan p, const vf *x, const vf *w, const vf *l, const vf *scale, const vf *low,
                         vf *error) {
  for (int g = 0; g < GROUPS; g++) error[g] = (vf){};
#pragma clang loop unroll_count(4)
  for (int i = 0; i < p.n; i++) {
    UNROLLED for (int g = 0; g < GROUPS; g++) {
      vf difference = scale[g] * l[i * GROUPS + g] + low[g] - x[i * GROUPS + g];
      vf e = p.absolute ? magnitude(difference) : difference * difference;
      error[g] += w[i * GROUPS + g] * e;
    }
  }
}

// x, w (n, GROUPS); l is scratch of the same size.
INLINE void affine_search(struct affine_plan p, const vf *x, const vf *w, vf *l, struct affine *result) {
  vf low[GROUPS], high[GROUPS], bottom[GROUPS], weight[GROUPS], wx[GROUPS];
  vf inverse[GROUPS], scale[GROUPS], best[GROUPS];
  vi alive[GROUPS];
  for (int g = 0; g < GROUPS; g++) {
    low[g] = high[g] = x[g];
    weight[g] = w[g];
    wx[g] = w[g] * x[g];
  }
  for (int i = 1; i < p.n; i++) {
    UNROLLED for (int g = 0; g < GROUPS; g++) {
      vf xi = x[i * GROUPS + g], wi = w[i * GROUPS + g];
      low[g] = smaller(xi, low[g]);
      high[g] = larger(xi, high[g]);
      weight[g] += wi;
      wx[g] += wi * xi;
    }
  }
  for (int g = 0; g < GROUPS; g++) {
    bottom[g] = low[g];
    low[g] = smaller(all(0), low[g]);
    // Constant sub-blocks stay out: their candidates are all zeros, and their scale is cleared at the end.
    alive[g] = high[g] > low[g];
  }

  // Candidate -1 is the first guess: it is scored with its own scale and minimum, the others with the best fit.
  for (int candidate = -1; candidate <= p.last; candidate++) {
    float levels = candidate < 0 ? p.top : p.from + p.by * (float)candidate + p.top;
    bool wild = false;
    for (int g = 0; g < GROUPS; g++) {
      vf range = high[g] - low[g];
      inverse[g] = keep(alive[g], levels / range);
      // Every value lies between those of the smallest and the largest x.
      vi tame = (magnitude(inverse[g] * (bottom[g] - low[g])) <= NEAREST_LIMIT) &
                (magnitude(inverse[g] * range) <= NEAREST_LIMIT);
      wild |= any(~tame);
    }
    struct affine_sums s[GROUPS];
    if (UNLIKELY(wild)) {
      affine_levels(p, x, w, inverse, low, true, l, s);
    } else {
      affine_levels(p, x, w, inverse, low, false, l, s);
    }

    vf fit[GROUPS], offset[GROUPS], error[GROUPS];
    vi valid[GROUPS];
    for (int g = 0; g < GROUPS; g++) {
      if (candidate < 0) {
        fit[g] = 1.0f / inverse[g];
        offset[g] = low[g];
        continue;
      }
      vf determinant = weight[g] * s[g].ll - s[g].l * s[g].l;
      valid[g] = determinant > 0;
      fit[g] = (weight[g] * s[g].xl - wx[g] * s[g].l) / determinant;
      offset[g] = (s[g].ll * wx[g] - s[g].l * s[g].xl) / determinant;
      vi positive = offset[g] > 0;
      if (any(positive)) {
        offset[g] = choose(positive, all(0), offset[g]);
        fit[g] = choose(positive, s[g].xl / s[g].ll, fit[g]);
      }
    }
    affine_error(p, x, w, l, fit, offset, error);
    for (int g = 0; g < GROUPS; g++) {
      if (candidate < 0) {
        best[g] = error[g];
        scale[g] = fit[g];
        result[g].inverse = inverse[g];
        result[g].low = low[g];
        continue;
      }
      vi better = valid[g] & (error[g] < best[g]);
      best[g] = choose(better, error[g], best[g]);
      scale[g] = choose(better, fit[g], scale[g]);
      result[g].inverse = choose(better, inverse[g], result[g].inverse);
      result[g].low = choose(better, low[g], result[g].low);
      // The next candidate starts from the improved minimum: part of the definition.
      low[g] = choose(better, offset[g], low[g]);
    }
  }
  for (int g = 0; g < GROUPS; g++) {
    result[g].scale = keep(alive[g], scale[g]);
    result[g].minimum = -low[g];
    result[g].weight = weight[g];
  }
}
