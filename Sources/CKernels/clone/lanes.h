// Vectors of LANES floats, and what the kernels need beyond operators. Comparisons give lanes of all ones or zeros.

#define INLINE static inline __attribute__((always_inline))
#define UNROLLED _Pragma("clang loop unroll(full)")
#define UNLIKELY(condition) __builtin_expect(condition, 0)

typedef float vf __attribute__((vector_size(4 * LANES)));
typedef uint32_t vu __attribute__((vector_size(4 * LANES)));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));
typedef uint32_t u32x16 __attribute__((vector_size(64)));
typedef uint8_t u8x16 __attribute__((vector_size(16)));

INLINE vf load(const float *p) {
  vf v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

INLINE void store(float *p, vf v) { __builtin_memcpy(p, &v, sizeof v); }

// Subtracting zero keeps a negative zero, adding it would not.
INLINE vf all(float a) { return a - (vf){}; }

INLINE vf choose(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }

INLINE vf keep(vi mask, vf a) { return (vf)(mask & (vi)a); }

INLINE vf magnitude(vf a) { return (vf)((vi)a & 0x7fffffff); }

INLINE bool any(vi mask) { return __builtin_reduce_or(mask) != 0; }

// `a` unless `b` is smaller (larger): on x86 one instruction, with the same choice for NaN and zeros.
INLINE vf smaller(vf b, vf a) { return choose(b < a, b, a); }
INLINE vf larger(vf b, vf a) { return choose(b > a, b, a); }

// 1.5 * 2^23: adding it leaves the nearest integer in the fraction.
#define ROUNDER 12582912.0f
// The bits of the float that stands for integer 0 after `rounded_bits`.
#define ZERO_BITS 0x4B400000u

// ggml's nearest_int as the bits of ROUNDER + n. What is out of its range gives the same wrong integer as there, because the
// lower 23 bits are put back under the exponent of 2^23.
INLINE vu rounded_bits(vf v) { return ((vu)(v + ROUNDER) & 0x7fffffu) | 0x4B000000u; }

INLINE vf integer(vu bits) { return (vf)bits - ROUNDER; }

INLINE vu clamped_bits(vu bits, int low, int high) {
  bits = __builtin_elementwise_max(bits, (vu){} + (ZERO_BITS + (uint32_t)low));
  return __builtin_elementwise_min(bits, (vu){} + (ZERO_BITS + (uint32_t)high));
}

// To the nearest integer, ties to even, where |v| < 2^22: there it is what nearest_int gives.
INLINE vf nearest(vf v) {
#if HAS_ROUNDING
  return __builtin_elementwise_roundeven(v);
#else
  return (v + ROUNDER) - ROUNDER;
#endif
}

#if LANES == 16
#define LOW_HALVES 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH_HALVES 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif LANES == 8
#define LOW_HALVES 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH_HALVES 4, 12, 5, 13, 6, 14, 7, 15
#else
#define LOW_HALVES 0, 4, 1, 5
#define HIGH_HALVES 2, 6, 3, 7
#endif

// Rows become columns: each round interleaves the first half of the rows with the second.
INLINE void transpose(vf r[LANES]) {
  vf t[LANES];
  UNROLLED for (int width = 1; width < LANES; width *= 2) {
    UNROLLED for (int i = 0; i < LANES / 2; i++) {
      t[2 * i] = __builtin_shufflevector(r[i], r[i + LANES / 2], LOW_HALVES);
      t[2 * i + 1] = __builtin_shufflevector(r[i], r[i + LANES / 2], HIGH_HALVES);
    }
    UNROLLED for (int i = 0; i < LANES; i++) r[i] = t[i];
  }
}

// x (groups * LANES, n) -> out (n, groups) vectors: lane k of group g holds row g * LANES + k.
INLINE void load_columns(const float *x, int n, int groups, vf *out) {
  for (int g = 0; g < groups; g++) {
    for (int c = 0; c < n; c += LANES) {
      vf r[LANES];
      UNROLLED for (int k = 0; k < LANES; k++) r[k] = load(x + (g * LANES + k) * n + c);
      transpose(r);
      UNROLLED for (int k = 0; k < LANES; k++) out[(c + k) * groups + g] = r[k];
    }
  }
}

// The low bytes of LANES integers.
INLINE void store_bytes(uint8_t *p, vu v) {
#if LANES == 16
  u8x16 b = __builtin_convertvector(v, u8x16);
  __builtin_memcpy(p, &b, sizeof b);
#else
  typedef uint8_t bytes __attribute__((vector_size(LANES)));
  bytes b = __builtin_convertvector(v, bytes);
  __builtin_memcpy(p, &b, sizeof b);
#endif
}

// A bit a lane.
INLINE uint32_t lane_mask(vi mask) {
#if LANES == 16
  typedef bool bits __attribute__((ext_vector_type(16)));
  bits b = __builtin_convertvector(mask, bits);
  uint16_t m;
  __builtin_memcpy(&m, &b, 2);
  return m;
#elif LANES == 8
  typedef bool bits __attribute__((ext_vector_type(8)));
  bits b = __builtin_convertvector(mask, bits);
  uint8_t m;
  __builtin_memcpy(&m, &b, 1);
  return m;
#else
  vi b = mask & (vi){1, 2, 4, 8};
  return (uint32_t)__builtin_reduce_or(b);
#endif
}
