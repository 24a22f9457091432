// Blocks of 32 with one scale, LANES of them in a batch. Element j of the first half of a block is in the low nibble of byte
// j, element j + 16 in the high one.

// The largest (or smallest) of each of LANES blocks: rows are halved until a lane holds a block.
INLINE vf block_maximum(const float *x, bool absolute, bool negative) {
  vf r[LANES];
  UNROLLED for (int k = 0; k < LANES; k++) {
    UNROLLED for (int c = 0; c < 32; c += LANES) {
      vf v = load(x + 32 * k + c);
      if (absolute) v = magnitude(v);
      if (negative) v = -v;
      r[k] = c == 0 ? v : larger(v, r[k]);
    }
  }
  UNROLLED for (int half = LANES / 2; half > 0; half /= 2) {
    UNROLLED for (int i = 0; i < half; i++) {
      r[i] = larger(__builtin_shufflevector(r[i], r[i + half], LOW_HALVES),
                    __builtin_shufflevector(r[i], r[i + half], HIGH_HALVES));
    }
  }
  return r[0];
}

// The first value of x (32) whose magnitude is `size`.
INLINE float first_of_magnitude(const float *x, float size) {
  for (int i = 0; i < 32; i++) {
    if (__builtin_fabsf(x[i]) == size) return x[i];
  }
  return 0;
}

INLINE vf inverse_of(vf d) { return keep(d != 0, 1.0f / d); }

// Where 1 / d overflows, or the range does, ggml converts infinity or NaN to an integer; on x86 its low byte is zero.
INLINE vi is_usable(vf d, vf inverse) {
  return (magnitude(d) < __builtin_inff()) & (magnitude(inverse) < __builtin_inff());
}

// The 32 levels of a block, their fifth bits before the nibbles.
INLINE void store_nibbles(const vu *l, int bits, uint8_t *out) {
  enum { HALF = 16 / LANES };
  if (bits == 5) {
    uint32_t high = 0;
    UNROLLED for (int c = 0; c < 2 * HALF; c++) high |= lane_mask((l[c] & 16u) != 0) << (LANES * c);
    __builtin_memcpy(out, &high, 4);
    out += 4;
  }
  UNROLLED for (int c = 0; c < HALF; c++) store_bytes(out + LANES * c, (l[c] & 15u) | l[c + HALF] << 4);
}

// 1. d; for five bits 2. qh, 32 bits; 3. qs, 16 bytes. w = d (q - n).
INLINE void batch_symmetric(int bits, const float *x, uint8_t *out, int count) {
  const int n = 1 << (bits - 1), bytes = 2 + 4 * (bits - 4) + 16;
  vf high = block_maximum(x, false, false), low = -block_maximum(x, false, true);
  vf maximum = choose(high > -low, high, low);
  uint32_t undecided = lane_mask(high == -low);
  if (undecided) {
    // The first of the two is taken.
    float value[LANES];
    store(value, maximum);
    for (int k = 0; k < LANES; k++) {
      if (undecided >> k & 1) value[k] = value[k] == 0 ? 0 : first_of_magnitude(x + 32 * k, __builtin_fabsf(value[k]));
    }
    maximum = load(value);
  }
  vf d = maximum / (float)-n;
  vf inverse = inverse_of(d);
  vi usable = is_usable(d, inverse);
  uint16_t half[LANES];
  float value[LANES], factor[LANES], shift[LANES];
  round_to_half(d, half, value);
  store(factor, keep(usable, inverse));
  store(shift, keep(usable, all((float)n + 0.5f)));
  for (int k = 0; k < count; k++, out += bytes) {
    vu l[32 / LANES];
    UNROLLED for (int c = 0; c < 32 / LANES; c++) {
      vf v = load(x + 32 * k + LANES * c) * factor[k] + shift[k];
      l[c] = (vu)__builtin_convertvector(smaller(v, all((float)(2 * n - 1))), vi);
    }
    __builtin_memcpy(out, half + k, 2);
    store_nibbles(l, bits, out + 2);
  }
}

// 1. d; 2. m; for five bits 3. qh; 4. qs. w = d q + m.
INLINE void batch_affine(int bits, const float *x, uint8_t *out, int count) {
  const int bytes = 4 + 4 * (bits - 4) + 16;
  vf high = block_maximum(x, false, false), low = -block_maximum(x, false, true);
  uint32_t zeros = lane_mask(low == 0);
  if (zeros) {
    // The first zero gives m its sign.
    float smallest[LANES], largest[LANES];
    store(smallest, low);
    store(largest, high);
    for (int k = 0; k < LANES; k++) {
      if (zeros >> k & 1) {
        smallest[k] = first_of_magnitude(x + 32 * k, 0);
        if (largest[k] == 0) largest[k] = smallest[k];
      }
    }
    low = load(smallest);
    high = load(largest);
  }
  vf d = (high - low) / (float)((1 << bits) - 1);
  vf inverse = inverse_of(d);
  vi usable = is_usable(d, inverse);
  uint16_t half[2][LANES];
  float value[LANES], factor[LANES], origin[LANES];
  round_to_half(d, half[0], value);
  round_to_half(low, half[1], value);
  store(factor, keep(usable, inverse));
  store(origin, keep(usable, low));
  for (int k = 0; k < count; k++, out += bytes) {
    vu l[32 / LANES];
    UNROLLED for (int c = 0; c < 32 / LANES; c++) {
      vf v = (load(x + 32 * k + LANES * c) - origin[k]) * factor[k] + 0.5f;
      l[c] = (vu)__builtin_convertvector(smaller(v, all((float)((1 << bits) - 1))), vi);
    }
    __builtin_memcpy(out, half[0] + k, 2);
    __builtin_memcpy(out + 2, half[1] + k, 2);
    store_nibbles(l, bits, out + 4);
  }
}

// 1. d; 2. qs, 32 signed bytes. w = d q.
INLINE void batch_8(const float *x, uint8_t *out, int count) {
  vf d = block_maximum(x, true, false) / 127.0f;
  vf inverse = inverse_of(d);
  uint16_t half[LANES];
  float value[LANES], factor[LANES];
  round_to_half(d, half, value);
  store(factor, keep(is_usable(d, inverse), inverse));
  for (int k = 0; k < count; k++, out += 34) {
    __builtin_memcpy(out, half + k, 2);
    UNROLLED for (int c = 0; c < 32; c += LANES) {
      vf v = load(x + 32 * k + c) * factor[k];
      // Half away from zero: the largest float below one half is added before the fraction is cut off.
      vf toward = (vf)(((vu)v & 0x80000000u) | (vu)all(0x1.fffffep-2f));
      store_bytes(out + 2 + c, (vu)__builtin_convertvector(v + toward, vi));
    }
  }
}

typedef void plain_batch(const float *x, uint8_t *out, int count);

// A batch takes less time than memory, which is asked early.
enum { FLOATS_AHEAD = 4096 };

// The last batch is filled up with zeros.
INLINE void plain_blocks(plain_batch *batch, int bytes, const float *x, uint8_t *out, int64_t count) {
  for (; count >= LANES; count -= LANES) {
    for (int i = 0; i < 32 * LANES; i += 16) __builtin_prefetch(x + FLOATS_AHEAD + i);
    batch(x, out, LANES);
    x += 32 * LANES;
    out += bytes * LANES;
  }
  if (count > 0) {
    float padded[32 * LANES] = {0};
    __builtin_memcpy(padded, x, (size_t)count * 128);
    batch(padded, out, (int)count);
  }
}

INLINE void batch_4_0(const float *x, uint8_t *out, int count) { batch_symmetric(4, x, out, count); }
INLINE void batch_5_0(const float *x, uint8_t *out, int count) { batch_symmetric(5, x, out, count); }
INLINE void batch_4_1(const float *x, uint8_t *out, int count) { batch_affine(4, x, out, count); }
INLINE void batch_5_1(const float *x, uint8_t *out, int count) { batch_affine(5, x, out, count); }

static void quantize_q8_0(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  plain_blocks(batch_8, 34, x, out, rows * (columns / 32));
}

static void quantize_q4_0(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  plain_blocks(batch_4_0, 18, x, out, rows * (columns / 32));
}

static void quantize_q4_1(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  plain_blocks(batch_4_1, 20, x, out, rows * (columns / 32));
}

static void quantize_q5_0(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  plain_blocks(batch_5_0, 22, x, out, rows * (columns / 32));
}

static void quantize_q5_1(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  plain_blocks(batch_5_1, 24, x, out, rows * (columns / 32));
}
