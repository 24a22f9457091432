// MXFP4 and NVFP4: four-bit floats (E2M1), of which these are twice the magnitudes, with scales that are halved.
static const float float4_magnitudes[8] = {0, 1, 2, 3, 4, 6, 8, 12};

// x (LANES) -> codes: the nearest magnitude, of two as near the smaller one, and the sign of what is not zero.
INLINE vu float4_codes(vf x, float scale) {
  vf size = magnitude(x), error = size;
  vu code = {};
  UNROLLED for (int k = 1; k < 8; k++) {
    vf distance = magnitude(float4_magnitudes[k] * scale - size);
    vi better = distance < error;
    error = smaller(distance, error);
    code = ((vu)better & (uint32_t)k) | (~(vu)better & code);
  }
  return code | ((vu)((code != 0) & (x < 0)) & 8u);
}

// n weights of one scale: element j in the low nibble of byte j, element j + n / 2 in the high one.
INLINE void store_float4(const float *x, int n, float scale, uint8_t *out) {
  if (n / 2 < LANES) {
    // Both halves in one vector.
    uint8_t codes[16];
    for (int i = 0; i < n; i += LANES) store_bytes(codes + i, float4_codes(load(x + i), scale));
    for (int j = 0; j < n / 2; j++) out[j] = (uint8_t)(codes[j] | codes[j + n / 2] << 4);
    return;
  }
  for (int j = 0; j < n / 2; j += LANES) {
    store_bytes(out + j, float4_codes(load(x + j), scale) | float4_codes(load(x + n / 2 + j), scale) << 4);
  }
}

// The exponent of log2(x) rounded to a float, x > 0: closely below a power of two it is that of the power. 1 - j 2^-24 times
// 2^n has the logarithm n - j 2^-24 / ln 2, which rounds to n when it is nearer to it than to the float below n.
INLINE int rounded_logarithm(float x) {
  // Denormal numbers are made normal.
  int scaling = x < 0x1p-126f ? 64 : 0;
  if (scaling) x *= 0x1p64f;
  uint32_t bits;
  __builtin_memcpy(&bits, &x, 4);
  int exponent = (int)(bits >> 23) - 127 - scaling;
  uint32_t below = 0x800000u - (bits & 0x7fffffu);
  if (__builtin_expect(below > 256, 1)) return exponent;
  // Half of the distance from n to the float below it.
  int n = exponent + 1, size = n < 0 ? -n : n;
  int power = size == 0 ? -126 : 31 - __builtin_clz((unsigned)size);
  if (n > 0 && (size & (size - 1)) == 0) power -= 1;
  double half_gap = __builtin_bit_cast(double, (uint64_t)(1023 + power - 24) << 52);
  return (double)below * 0x1p-24 / 0.6931471805599453 < half_gap ? n : exponent;
}

INLINE float exponent_scale(uint8_t e) {
  uint32_t bits = e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23;
  float scale;
  __builtin_memcpy(&scale, &bits, 4);
  return scale;
}

// 1. e; 2. qs, 16 bytes.
static void quantize_mxfp4(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  for (int64_t left = rows * columns; left > 0; left -= 32, x += 32, out += 17) {
    float largest = largest_magnitude(x, 32);
    // Of an exponent below zero ggml keeps the lower eight bits.
    uint8_t e = largest > 0 ? (uint8_t)(rounded_logarithm(largest) - 2 + 127) : 0;
    out[0] = e;
    store_float4(x, 32, exponent_scale(e), out + 1);
  }
}

INLINE uint8_t fraction_code(float x) {
  if (!(x > 0)) return 0;
  if (x > 448.0f) x = 448.0f;
  uint32_t bits;
  __builtin_memcpy(&bits, &x, 4);
  int exponent = (int)(bits >> 23) - 127 + 7;
  if (exponent <= 0) {
    int units = (int)(x * 512.0f + 0.5f);
    return (uint8_t)(units > 7 ? 7 : units);
  }
  int rounded = (exponent << 3 | (int)(bits >> 20 & 7)) + (int)(bits >> 19 & 1);
  return (uint8_t)(rounded >= 15 << 3 ? 0x7e : rounded);
}

INLINE float fraction_scale(uint8_t code) {
  int exponent = code >> 3 & 15;
  float fraction = (float)(code & 7);
  if (code == 0x7f) return 0;
  if (exponent == 0) return fraction * 0x1p-10f;
  uint32_t bits = (uint32_t)(127 + exponent - 8) << 23;
  float power;
  __builtin_memcpy(&power, &bits, 4);
  return (1.0f + fraction / 8.0f) * power;
}

// 1. d, 4 bytes; 2. qs, 32 bytes.
static void quantize_nvfp4(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  for (int64_t left = rows * columns; left > 0; left -= 64, x += 64, out += 36) {
    for (int group = 0; group < 4; group++) {
      const float *part = x + 16 * group;
      vf m = {};
      UNROLLED for (int i = 0; i < 16; i += LANES) m = larger(magnitude(load(part + i)), m);
      uint8_t code = fraction_code(__builtin_bit_cast(float, __builtin_reduce_max((vi)m)) / 6.0f);
      out[group] = code;
      store_float4(part, 16, fraction_scale(code), out + 4 + 8 * group);
    }
  }
}
