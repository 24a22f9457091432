// Few levels: TQ1_0, TQ2_0, Q2_0 (three, halves rounded away from zero) and Q1_0 (signs).

// The largest magnitude of x (n).
INLINE float largest_magnitude(const float *x, int n) {
  vf m[2] = {};
  for (int i = 0; i < n; i += 2 * LANES) {
    m[0] = larger(magnitude(load(x + i)), m[0]);
    m[1] = larger(magnitude(load(x + i + LANES)), m[1]);
  }
  // Magnitudes are in the order of their bits.
  return __builtin_bit_cast(float, __builtin_reduce_max((vi)larger(m[0], m[1])));
}

// Levels 0, 1, 2 of x (n) with the scale d = its largest magnitude. Where 1 / d overflows, ggml converts infinity or NaN to an
// integer, and on x86 every level is `overflow`.
INLINE float ternary_levels(const float *x, int n, int overflow, uint8_t *l) {
  float d = largest_magnitude(x, n), inverse = d > 0 ? 1.0f / d : 0;
  if (UNLIKELY(!(inverse < __builtin_inff()))) {
    __builtin_memset(l, overflow, (size_t)n);
    return d;
  }
  for (int i = 0; i < n; i += LANES) {
    vf v = load(x + i) * inverse;
    // Half away from zero: the largest float below one half is added before the fraction is cut off.
    vf toward = (vf)(((vu)v & 0x80000000u) | (vu)all(0x1.fffffep-2f));
    store_bytes(l + i, (vu)(__builtin_convertvector(v + toward, vi) + 1));
  }
  return d;
}

INLINE void store_half(float d, uint8_t *out) {
  uint16_t h = (uint16_t)half_bits(all(d))[0];
  __builtin_memcpy(out, &h, 2);
}

// `bytes` numbers of five trits, the first of `trits` the highest, each as the 256/243 of it rounded up.
INLINE void pack_trits(const uint8_t *l, int bytes, int trits, uint8_t *out) {
  for (int i = 0; i < bytes; i++) {
    uint16_t number = 0;
    for (int k = 0; k < 5; k++) number = (uint16_t)(number * 3 + (k < trits ? l[i + bytes * k] : 0));
    out[i] = (uint8_t)((number * 256u + 242u) / 243u);
  }
}

// 1. qs, 48 bytes; 2. qh, 4; 3. d.
static void quantize_tq1_0(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  for (int64_t left = rows * columns; left > 0; left -= 256, x += 256, out += 54) {
    uint8_t l[256];
    store_half(ternary_levels(x, 256, 1, l), out + 52);
    pack_trits(l, 32, 5, out);
    pack_trits(l + 160, 16, 5, out + 32);
    pack_trits(l + 240, 4, 4, out + 48);
  }
}

// 1. qs, 64 bytes; 2. d.
static void quantize_tq2_0(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  for (int64_t left = rows * columns; left > 0; left -= 256, x += 256, out += 66) {
    uint8_t l[256];
    store_half(ternary_levels(x, 256, 1, l), out + 64);
    pack_pairs(l, out);
  }
}

// 1. d; 2. qs, 16 bytes, four neighbours to a byte.
static void quantize_q2_0(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  for (int64_t left = rows * columns; left > 0; left -= 64, x += 64, out += 18) {
    uint32_t l[16];
    store_half(ternary_levels(x, 64, 0, (uint8_t *)l), out);
    for (int i = 0; i < 16; i++) out[2 + i] = (uint8_t)(l[i] | l[i] >> 6 | l[i] >> 12 | l[i] >> 18);
  }
}

// LANES blocks of 128, their magnitudes summed each in order. 1. d; 2. a bit a weight.
INLINE void batch_q1_0(const float *x, uint8_t *out, int count, const float *const *importance) {
  // The signs first, for memory is quickest in its order; the sums then find all in the cache.
  for (int i = 0; i < 128 * count; i += 16) {
    uint32_t bits = 0;
    UNROLLED for (int c = 0; c < 16; c += LANES) bits |= lane_mask(load(x + i + c) >= 0) << c;
    uint8_t *q = out + 18 * (i / 128) + 2 + i % 128 / 8;
    q[0] = (uint8_t)bits;
    q[1] = (uint8_t)(bits >> 8);
  }
  vf sum = {};
  for (int c = 0; c < 128; c += LANES) {
    vf r[LANES];
    UNROLLED for (int k = 0; k < LANES; k++) r[k] = load(x + 128 * k + c);
    transpose(r);
    UNROLLED for (int k = 0; k < LANES; k++) sum += magnitude(r[k]);
  }
  float mean[LANES];
  store(mean, sum / 128.0f);
  for (int k = 0; k < count; k++) store_half(mean[k], out + 18 * k);
}

static void quantize_q1_0(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  batches(batch_q1_0, 128, 18, x, out, rows, columns, NULL);
}
