// Rows of floats, sixteen lanes at a time whatever the set has: sums are the same everywhere.

enum { WIDE = 16 / LANES };

#define EACH_VECTOR UNROLLED for (int v = 0; v < WIDE; v++)

// Cephes' expf: within 2 units in the last place from -87 to 88, clamped outside.
INLINE vf exponential(vf x) {
  x = smaller(all(88), larger(all(-87), x));
  // The low bits hold the nearest integer of x / ln 2.
  vf shifted = x * 1.44269504088896341f + ROUNDER;
  vf n = shifted - ROUNDER;
  vf r = x - n * 0.693359375f + n * 2.12194440e-4f;
  vf p = all(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1;
  return p * (vf)(((vu)shifted << 23) + 0x3f800000u);
}

INLINE float halved_sum(const vf sums[WIDE]) {
  float lanes[16];
  EACH_VECTOR store(lanes + v * LANES, sums[v]);
  UNROLLED for (int half = 8; half > 0; half /= 2) {
    UNROLLED for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

// The last `count` < 16 elements, and `padding` in the lanes behind them.
INLINE void load_last(const float *x, int64_t count, float padding, float lanes[16]) {
  for (int i = 0; i < 16; i++) lanes[i] = i < count ? x[i] : padding;
}

static float row_maximum(const float *x, int64_t count) {
  vf best[WIDE];
  EACH_VECTOR best[v] = all(-__builtin_inff());
  for (; count >= 16; count -= 16, x += 16) EACH_VECTOR best[v] = larger(load(x + v * LANES), best[v]);
  float lanes[16];
  if (count > 0) {
    load_last(x, count, -__builtin_inff(), lanes);
    EACH_VECTOR best[v] = larger(load(lanes + v * LANES), best[v]);
  }
  EACH_VECTOR store(lanes + v * LANES, best[v]);
  for (int i = 1; i < 16; i++) lanes[0] = lanes[i] > lanes[0] ? lanes[i] : lanes[0];
  return lanes[0];
}

// sums += e^(x - maximum) of the last elements, which are left in `lanes`.
INLINE void add_last_exponentials(const float *x, int64_t count, float maximum, float lanes[16], vf sums[WIDE]) {
  load_last(x, count, 0, lanes);
  EACH_VECTOR store(lanes + v * LANES, exponential(load(lanes + v * LANES) - maximum));
  for (int64_t i = count; i < 16; i++) lanes[i] = 0;
  EACH_VECTOR sums[v] += load(lanes + v * LANES);
}

static void row_softmax(float *x, int64_t count) {
  float maximum = row_maximum(x, count), lanes[16];
  int64_t whole = count / 16 * 16;
  vf sums[WIDE] = {};
  for (int64_t i = 0; i < whole; i += 16) {
    EACH_VECTOR {
      vf e = exponential(load(x + i + v * LANES) - maximum);
      sums[v] += e;
      store(x + i + v * LANES, e);
    }
  }
  if (whole < count) {
    add_last_exponentials(x + whole, count - whole, maximum, lanes, sums);
    for (int64_t i = whole; i < count; i++) x[i] = lanes[i - whole];
  }
  float scale = 1 / halved_sum(sums);
  for (int64_t i = 0; i < whole; i += 16) {
    EACH_VECTOR store(x + i + v * LANES, load(x + i + v * LANES) * scale);
  }
  for (int64_t i = whole; i < count; i++) x[i] *= scale;
}

INLINE vf gated(vf gate, vf up) { return gate / (exponential(-gate) + 1) * up; }

static void row_swiglu(float *gate, const float *up, int64_t count) {
  for (; count >= LANES; count -= LANES, gate += LANES, up += LANES) store(gate, gated(load(gate), load(up)));
  for (; count > 0; count--, gate++, up++) *gate = gated(all(*gate), all(*up))[0];
}

static void row_rms_norm(const float *x, const float *weight, float epsilon, float *y, int64_t count) {
  int64_t whole = count / 16 * 16;
  vf sums[WIDE] = {};
  for (int64_t i = 0; i < whole; i += 16) {
    EACH_VECTOR {
      vf part = load(x + i + v * LANES);
      sums[v] += part * part;
    }
  }
  if (whole < count) {
    float lanes[16];
    load_last(x + whole, count - whole, 0, lanes);
    EACH_VECTOR sums[v] += load(lanes + v * LANES) * load(lanes + v * LANES);
  }
  float mean = halved_sum(sums) / (float)count;
  float scale = 1 / __builtin_elementwise_sqrt(all(mean + epsilon))[0];
  int64_t i = 0;
  for (; i + LANES <= count; i += LANES) store(y + i, load(x + i) * scale * load(weight + i));
  for (; i < count; i++) y[i] = x[i] * scale * weight[i];
}

#if LANES == 16
#define TWICE 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7
#define SWAPPED 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14
#elif LANES == 8
#define TWICE 0, 0, 1, 1, 2, 2, 3, 3
#define SWAPPED 1, 0, 3, 2, 5, 4, 7, 6
#else
#define TWICE 0, 0, 1, 1
#define SWAPPED 1, 0, 3, 2
#endif

static void row_rotate(float *x, int64_t heads, int64_t head_size, const float *cosines, const float *sines) {
  typedef float half __attribute__((vector_size(2 * LANES)));
  int64_t whole = head_size / LANES * LANES;
  // The first of a pair has its product with the sine subtracted.
  vu signs;
  UNROLLED for (int i = 0; i < LANES; i++) signs[i] = i % 2 ? 0 : 0x80000000u;
  for (int64_t head = 0; head < heads; head++, x += head_size) {
    for (int64_t i = 0; i < whole; i += LANES) {
      half c, s;
      __builtin_memcpy(&c, cosines + i / 2, sizeof c);
      __builtin_memcpy(&s, sines + i / 2, sizeof s);
      vf pairs = load(x + i);
      vf turned = __builtin_shufflevector(pairs, pairs, SWAPPED) * __builtin_shufflevector(s, s, TWICE);
      store(x + i, pairs * __builtin_shufflevector(c, c, TWICE) + (vf)((vu)turned ^ signs));
    }
    for (int64_t i = whole; i + 1 < head_size; i += 2) {
      float a = x[i], b = x[i + 1], c = cosines[i / 2], s = sines[i / 2];
      x[i] = a * c - b * s;
      x[i + 1] = b * c + a * s;
    }
  }
}

// Elements whose sum is taken in binary32 before it joins the total.
enum { STRETCH = 512 };

static double row_sum_of_exponentials(const float *x, float maximum, int64_t count) {
  double total = 0;
  while (count > 0) {
    int64_t part = count < STRETCH ? count : STRETCH;
    vf sums[WIDE] = {};
    int64_t i = 0;
    for (; i + 16 <= part; i += 16) {
      EACH_VECTOR sums[v] += exponential(load(x + i + v * LANES) - maximum);
    }
    float lanes[16];
    if (i < part) add_last_exponentials(x + i, part - i, maximum, lanes, sums);
    total += (double)halved_sum(sums);
    x += part;
    count -= part;
  }
  return total;
}

// p (e^-d - 1 + d) for d = ln p - ln q. Up to 1/2 by a series, which is exact to a rounding; beyond, p e^-d is taken as q.
INLINE vf divergence_terms(vf x, vf y, const struct quern_divergence *of) {
  vf d = x - y - of->shift, weight = exponential(x - of->x_maximum);
  vf series = all(-1.0f / 362880);
  static const float factors[] = {1.0f / 40320, -1.0f / 5040, 1.0f / 720, -1.0f / 120, 1.0f / 24, -1.0f / 6, 1.0f / 2};
  UNROLLED for (int i = 0; i < 7; i++) series = series * d + factors[i];
  vf near = weight * (series * d * d);
  vf far = weight * (d - 1) + exponential(y - of->y_maximum) * of->ratio;
  return choose(d <= 0.5f & d >= -0.5f, near, far);
}

static double row_divergence(const float *x, const float *y, const struct quern_divergence *of, int64_t count) {
  double total = 0;
  while (count > 0) {
    int64_t part = count < STRETCH ? count : STRETCH;
    vf sums[WIDE] = {};
    int64_t i = 0;
    for (; i + 16 <= part; i += 16) {
      EACH_VECTOR sums[v] += divergence_terms(load(x + i + v * LANES), load(y + i + v * LANES), of);
    }
    if (i < part) {
      float a[16], b[16];
      load_last(x + i, part - i, 0, a);
      load_last(y + i, part - i, 0, b);
      EACH_VECTOR store(a + v * LANES, divergence_terms(load(a + v * LANES), load(b + v * LANES), of));
      for (int64_t k = part - i; k < 16; k++) a[k] = 0;
      EACH_VECTOR sums[v] += load(a + v * LANES);
    }
    total += (double)halved_sum(sums);
    x += part;
    y += part;
    count -= part;
  }
  return total;
}

static int64_t row_index(const float *x, float value, int64_t count) {
  int64_t i = 0;
  while (i + LANES <= count && !any(load(x + i) == value)) i += LANES;
  for (; i < count; i++) {
    if (x[i] == value) return i;
  }
  return -1;
}
