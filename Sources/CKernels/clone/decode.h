// Blocks to floats. Each weight takes the operations of the definitions, so the bits are the same.

typedef uint16_t halves __attribute__((vector_size(2 * LANES)));

// Stored bytes are asked for early.
enum { BYTES_AHEAD = 4096 };

INLINE vf halves_value(halves h) {
#if HAS_HALF
  typedef _Float16 half_floats __attribute__((vector_size(2 * LANES)));
  return __builtin_convertvector((half_floats)h, vf);
#else
  return half_value(__builtin_convertvector(h, vu));
#endif
}

// One half, in integer registers, which are idle here: as `half_value`, but that a signaling NaN stays one.
INLINE float half_at(const uint8_t *p) {
  uint16_t h;
  __builtin_memcpy(&h, p, 2);
  uint32_t m = (h & 0x7fffu) << 13, sign = (h & 0x8000u) << 16, near = m + 0x38800000u;
  uint32_t bits = m + (m >= 0x0f800000u ? 0x70000000u : 0x38000000u);
  float tiny, value;
  __builtin_memcpy(&tiny, &near, 4);
  tiny -= 0x1p-14f;
  uint32_t tiny_bits;
  __builtin_memcpy(&tiny_bits, &tiny, 4);
  bits = (m < 0x00800000u ? tiny_bits : bits) | sign;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}

INLINE u8x16 bytes_at(const uint8_t *p) {
  u8x16 v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

// Where the output is larger than caches, writing around them saves reading what is overwritten. x is aligned then.
enum { FLOATS_STREAMED = 1 << 23 };

INLINE void put(float *x, vf v, bool stream) {
  if (stream) {
    typedef float quarter __attribute__((vector_size(16)));
    quarter part[LANES / 4];
    __builtin_memcpy(part, &v, sizeof v);
    UNROLLED for (int i = 0; i < LANES / 4; i++) __builtin_nontemporal_store(part[i], (quarter *)(x + 4 * i));
  } else {
    store(x, v);
  }
}

// A decoder of both kinds. What was written around the caches is made visible to other threads at the end.
#define DECODER(NAME, DECODE)                                    \
  static void NAME(const uint8_t *b, float *x, int64_t count) {  \
    if (count >= FLOATS_STREAMED && (uintptr_t)x % 16 == 0) {    \
      DECODE(b, x, count, true);                                 \
      __atomic_thread_fence(__ATOMIC_SEQ_CST);                   \
    } else {                                                     \
      DECODE(b, x, count, false);                                \
    }                                                            \
  }

// x (16) = q * d - m, for levels q + `offset` of which `offset` is subtracted as integers.
INLINE void put_16(float *x, u8x16 q, int offset, float d, float m, bool has_m, bool stream) {
  typedef uint8_t bytes __attribute__((vector_size(LANES)));
  bytes part[16 / LANES];
  __builtin_memcpy(part, &q, sizeof q);
  UNROLLED for (int c = 0; c < 16 / LANES; c++) {
    vi level = __builtin_convertvector(part[c], vi);
    if (offset) level -= offset;
    vf v = __builtin_convertvector(level, vf) * d;
    put(x + LANES * c, has_m ? v - m : v, stream);
  }
}

#define EACH_BLOCK(BYTES, ELEMENTS) for (; count > 0; count -= (ELEMENTS), b += (BYTES), x += (ELEMENTS))

static void decode_f32(const uint8_t *b, float *x, int64_t count) { __builtin_memcpy(x, b, (size_t)count * 4); }

#if HAS_HALF
enum { HALVES_AT_ONCE = LANES };

INLINE void put_halves(float *x, const uint8_t *b, bool stream) {
  halves h;
  __builtin_memcpy(&h, b, sizeof h);
  put(x, halves_value(h), stream);
}
#else
enum { HALVES_AT_ONCE = 4 * LANES };

// Most halves have a normal exponent and only need another one: one look at all of them tells.
INLINE void put_halves(float *x, const uint8_t *b, bool stream) {
  typedef uint16_t many_halves __attribute__((vector_size(4 * LANES)));
  many_halves all_of[2];
  halves h[4];
  __builtin_memcpy(all_of, b, sizeof all_of);
  __builtin_memcpy(h, b, sizeof h);
  // One more makes the least exponent 1 and carries the greatest out: of either, nothing is left in the upper four bits.
  if (UNLIKELY(__builtin_reduce_or((((all_of[0] + 0x400) & 0x7800) == 0) | (((all_of[1] + 0x400) & 0x7800) == 0)))) {
    UNROLLED for (int k = 0; k < 4; k++) put(x + LANES * k, half_value(__builtin_convertvector(h[k], vu)), stream);
    return;
  }
  UNROLLED for (int k = 0; k < 4; k++) {
    // Shifted with the sign, whose copies are cleared.
    vi moved = (vi)(__builtin_convertvector(h[k], vu) << 16) >> 3 & (int32_t)0x8fffe000;
    put(x + LANES * k, (vf)(moved + 0x38000000), stream);
  }
}
#endif

INLINE void f16_values(const uint8_t *b, float *x, int64_t count, bool stream) {
  for (; count >= HALVES_AT_ONCE; count -= HALVES_AT_ONCE, b += 2 * HALVES_AT_ONCE, x += HALVES_AT_ONCE) {
    __builtin_prefetch(b + BYTES_AHEAD);
    put_halves(x, b, stream);
  }
  for (; count > 0; count--, b += 2, x++) {
    uint16_t h;
    __builtin_memcpy(&h, b, 2);
    *x = halves_value((halves){} + h)[0];
  }
}

DECODER(decode_f16, f16_values)

INLINE void bf16_values(const uint8_t *b, float *x, int64_t count, bool stream) {
  for (; count >= LANES; count -= LANES, b += 2 * LANES, x += LANES) {
    halves h;
    __builtin_prefetch(b + BYTES_AHEAD);
    __builtin_memcpy(&h, b, sizeof h);
    put(x, (vf)(__builtin_convertvector(h, vu) << 16), stream);
  }
  for (; count > 0; count--, b += 2, x++) {
    uint16_t h;
    __builtin_memcpy(&h, b, 2);
    *x = ((vf)((vu){} + ((uint32_t)h << 16)))[0];
  }
}

DECODER(decode_bf16, bf16_values)

INLINE void q4_0_values(const uint8_t *b, float *x, int64_t count, bool stream) {
  EACH_BLOCK(18, 32) {
    float d = half_at(b);
    u8x16 q = bytes_at(b + 2);
    put_16(x, q & 15, 8, d, 0, false, stream);
    put_16(x + 16, q >> 4, 8, d, 0, false, stream);
  }
}

DECODER(decode_q4_0, q4_0_values)

INLINE void q4_1_values(const uint8_t *b, float *x, int64_t count, bool stream) {
  EACH_BLOCK(20, 32) {
    // Subtracting -m adds m, to the bit.
    float d = half_at(b), m = -half_at(b + 2);
    u8x16 q = bytes_at(b + 4);
    put_16(x, q & 15, 0, d, m, true, stream);
    put_16(x + 16, q >> 4, 0, d, m, true, stream);
  }
}

DECODER(decode_q4_1, q4_1_values)

// 16 where a bit is set, else 0, for the 16 bits at p.
INLINE u8x16 fifth_bits(const uint8_t *p) {
  u8x16 spread = bytes_at((const uint8_t[16]){p[0], p[0], p[0], p[0], p[0], p[0], p[0], p[0],  //
                                              p[1], p[1], p[1], p[1], p[1], p[1], p[1], p[1]});
  const u8x16 bit = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  return (u8x16)((spread & bit) != 0) & 16;
}

INLINE void q5_0_values(const uint8_t *b, float *x, int64_t count, bool stream) {
  EACH_BLOCK(22, 32) {
    float d = half_at(b);
    u8x16 q = bytes_at(b + 6);
    put_16(x, (q & 15) | fifth_bits(b + 2), 16, d, 0, false, stream);
    put_16(x + 16, q >> 4 | fifth_bits(b + 4), 16, d, 0, false, stream);
  }
}

DECODER(decode_q5_0, q5_0_values)

INLINE void q5_1_values(const uint8_t *b, float *x, int64_t count, bool stream) {
  EACH_BLOCK(24, 32) {
    float d = half_at(b), m = -half_at(b + 2);
    u8x16 q = bytes_at(b + 8);
    put_16(x, (q & 15) | fifth_bits(b + 4), 0, d, m, true, stream);
    put_16(x + 16, q >> 4 | fifth_bits(b + 6), 0, d, m, true, stream);
  }
}

DECODER(decode_q5_1, q5_1_values)

INLINE void q8_0_values(const uint8_t *b, float *x, int64_t count, bool stream) {
  EACH_BLOCK(34, 32) {
    float d = half_at(b);
    for (int j = 0; j < 32; j += 16) put_16(x + j, bytes_at(b + 2 + j) ^ 128, 128, d, 0, false, stream);
  }
}

DECODER(decode_q8_0, q8_0_values)

INLINE void q2_K_values(const uint8_t *b, float *x, int64_t count, bool stream) {
  EACH_BLOCK(84, 256) {
    float d = half_at(b + 80), dmin = half_at(b + 82);
    UNROLLED for (int group = 0; group < 16; group++) {
      u8x16 q = bytes_at(b + 16 + 32 * (group / 8) + 16 * (group % 2)) >> (group % 8 / 2 * 2) & 3;
      put_16(x + 16 * group, q, 0, d * (float)(b[group] & 0xF), dmin * (float)(b[group] >> 4), true, stream);
    }
  }
}

DECODER(decode_q2_K, q2_K_values)

INLINE void q3_K_values(const uint8_t *b, float *x, int64_t count, bool stream) {
  EACH_BLOCK(110, 256) {
    float d = half_at(b + 108);
    UNROLLED for (int group = 0; group < 16; group++) {
      int low = b[96 + group % 8] >> (group / 8 * 4) & 0xF, high = b[104 + group % 4] >> (group / 4 * 2) & 3;
      u8x16 q = bytes_at(b + 32 + 32 * (group / 8) + 16 * (group % 2)) >> (group % 8 / 2 * 2) & 3;
      u8x16 third = bytes_at(b + 16 * (group % 2)) >> (group / 2) & 1;
      put_16(x + 16 * group, q | third << 2, 4, d * (float)((low | high << 4) - 32), 0, false, stream);
    }
  }
}

DECODER(decode_q3_K, q3_K_values)

// The six-bit scale and min of group j.
INLINE void scale_and_min(const uint8_t *s, int j, int *scale, int *min) {
  *scale = j < 4 ? s[j] & 63 : (s[j + 4] & 0xF) | (s[j - 4] >> 6) << 4;
  *min = j < 4 ? s[j + 4] & 63 : s[j + 4] >> 4 | (s[j] >> 6) << 4;
}

INLINE void decode_45(int bits, const uint8_t *b, float *x, bool stream) {
  float d = half_at(b), dmin = half_at(b + 2);
  const uint8_t *qh = b + 16, *qs = bits == 5 ? b + 48 : b + 16;
  UNROLLED for (int group = 0; group < 8; group++) {
    int scale, min;
    scale_and_min(b + 4, group, &scale, &min);
    float dl = d * (float)scale, ml = dmin * (float)min;
    UNROLLED for (int l = 0; l < 32; l += 16) {
      u8x16 q = bytes_at(qs + 32 * (group / 2) + l) >> (group % 2 * 4) & 15;
      if (bits == 5) q |= (bytes_at(qh + l) >> group & 1) << 4;
      put_16(x + 32 * group + l, q, 0, dl, ml, true, stream);
    }
  }
}

INLINE void q4_K_values(const uint8_t *b, float *x, int64_t count, bool stream) {
  EACH_BLOCK(144, 256) decode_45(4, b, x, stream);
}

DECODER(decode_q4_K, q4_K_values)

INLINE void q5_K_values(const uint8_t *b, float *x, int64_t count, bool stream) {
  EACH_BLOCK(176, 256) decode_45(5, b, x, stream);
}

DECODER(decode_q5_K, q5_K_values)

INLINE void q6_K_values(const uint8_t *b, float *x, int64_t count, bool stream) {
  EACH_BLOCK(210, 256) {
    float d = half_at(b + 208);
    UNROLLED for (int group = 0; group < 16; group++) {
      int half = group / 8, quarter = group % 8 / 2, column = 16 * (group % 2);
      u8x16 low = bytes_at(b + 64 * half + 32 * (quarter % 2) + column) >> (quarter / 2 * 4) & 15;
      u8x16 high = bytes_at(b + 128 + 32 * half + column) >> (2 * quarter) & 3;
      put_16(x + 16 * group, low | high << 4, 32, d * (float)(int8_t)b[192 + group], 0, false, stream);
    }
  }
}

DECODER(decode_q6_K, q6_K_values)

// E4M3: 1 sign, 4 exponent (bias 7), 3 fraction bits, no infinities; 0x7F and 0xFF are NaN. E5M2: the upper byte of a half.
INLINE vf f8_value(bool e4m3, halves byte) {
  if (!e4m3) return halves_value(byte << 8);
  // As a half it is 2^-8 of its value, denormal where it is; what would be 480 is NaN.
  vf v = halves_value((byte & 0x80) << 8 | (byte & 0x7f) << 7) * 256.0f;
  return (vf)((vu)v | ((vu)(magnitude(v) == 480.0f) & 0x7fc00000u));
}

INLINE void f8_values(bool e4m3, const uint8_t *b, float *x, int64_t count, bool stream) {
  typedef uint8_t bytes __attribute__((vector_size(LANES)));
  for (; count >= LANES; count -= LANES, b += LANES, x += LANES) {
    bytes v;
    __builtin_memcpy(&v, b, sizeof v);
    put(x, f8_value(e4m3, __builtin_convertvector(v, halves)), stream);
  }
  for (; count > 0; count--, b++, x++) *x = f8_value(e4m3, (halves){} + (uint16_t)*b)[0];
}

INLINE void e4m3_values(const uint8_t *b, float *x, int64_t count, bool stream) { f8_values(true, b, x, count, stream); }

INLINE void e5m2_values(const uint8_t *b, float *x, int64_t count, bool stream) { f8_values(false, b, x, count, stream); }

DECODER(decode_f8_e4m3, e4m3_values)
DECODER(decode_f8_e5m2, e5m2_values)
