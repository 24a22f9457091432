// IEEE binary16 by integer and exact float arithmetic, so that a set without instructions for it needs no library call.

// Round to nearest even; too large gives infinity; NaN gives the quiet 0x7E00 with its sign, as ggml does it.
INLINE vu half_bits(vf v) {
  vu bits = (vu)v;
  vu sign = bits >> 16 & 0x8000u;
  vu m = bits & 0x7fffffffu;
  // Normal: round the fraction in place.
  vu rebased = m - 0x38000000u;
  vu normal = (rebased + 0xfffu + (rebased >> 13 & 1u)) >> 13;
  // Below 2^-14: adding 1/2 puts units of 2^-24 into the low bits, rounded once.
  vu tiny = (vu)((vf)m + 0.5f) - 0x3f000000u;
  vi is_tiny = (vi)m < 0x38800000;
  vi is_infinite = (vi)m >= 0x477ff000;
  vi is_nan = (vi)m > 0x7f800000;
  vu h = ((vu)is_tiny & tiny) | (~(vu)is_tiny & normal);
  h = ((vu)is_infinite & 0x7c00u) | (~(vu)is_infinite & h);
  return sign | h | ((vu)is_nan & 0x0200u);
}

// A NaN keeps its sign and fraction and is made quiet, as by the instructions of other sets. No operand is a denormal float,
// which some processors are slow at.
INLINE vf half_value(vu h) {
  vu m = (h & 0x7fffu) << 13;
  // Of a denormal half the fraction is put above 2^-14, which is subtracted; from others, zero.
  vu tiny = (vu)((vi)m < 0x00800000);
  vu v = (vu)((vf)(m + 0x38000000u + (tiny & 0x00800000u)) - (vf)(tiny & 0x38800000u));
  vu infinite = (vu)((vi)m >= 0x0f800000), nan = (vu)((vi)m > 0x0f800000);
  return (vf)((v + (infinite & 0x38000000u)) | (nan & 0x00400000u) | (h & 0x8000u) << 16);
}

static void quantize_f32(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  __builtin_memcpy(out, x, (size_t)(rows * columns) * 4);
}

static void quantize_f16(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  int64_t count = rows * columns;
  typedef uint16_t halves __attribute__((vector_size(2 * LANES)));
  for (; count >= LANES; count -= LANES, x += LANES, out += 2 * LANES) {
    halves h = __builtin_convertvector(half_bits(load(x)), halves);
    __builtin_memcpy(out, &h, sizeof h);
  }
  for (; count > 0; count--, x++, out += 2) {
    uint16_t h = (uint16_t)half_bits(all(*x))[0];
    __builtin_memcpy(out, &h, 2);
  }
}

// The upper half of a binary32, to nearest even; NaN keeps its upper bits and is made quiet.
static void quantize_bf16(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance) {
  int64_t count = rows * columns;
  for (int64_t i = 0; i < count; i++) {
    uint32_t bits;
    __builtin_memcpy(&bits, x + i, 4);
    uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
    uint16_t h = (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? bits >> 16 | 64 : rounded);
    __builtin_memcpy(out + 2 * i, &h, 2);
  }
}

static bool all_finite(const float *x, int64_t count) {
  for (; count >= 64 * LANES; count -= 64 * LANES, x += 64 * LANES) {
    vu wrapped[4] = {};
    for (int i = 0; i < 64; i += 4) {
      UNROLLED for (int k = 0; k < 4; k++) {
        // What is beyond the largest finite number wraps into the sign.
        wrapped[k] |= 0x7f7fffffu - ((vu)load(x + (i + k) * LANES) & 0x7fffffffu);
      }
    }
    if (any((vi)(wrapped[0] | wrapped[1] | wrapped[2] | wrapped[3]) < 0)) return false;
  }
  for (; count > 0; count--, x++) {
    if (!(__builtin_fabsf(*x) < __builtin_inff())) return false;
  }
  return true;
}
