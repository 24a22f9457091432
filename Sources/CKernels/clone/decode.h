// Blocks to floats. Each weight takes the operations of the definitions, so the bits are the same; the loops are plain and
// become vectors by themselves.

INLINE float half_at(const uint8_t *p) {
  uint16_t h;
  __builtin_memcpy(&h, p, 2);
  return half_value((vu){} + (uint32_t)h)[0];
}

#define EACH_BLOCK(BYTES, ELEMENTS) for (; count > 0; count -= (ELEMENTS), b += (BYTES), x += (ELEMENTS))

static void decode_f32(const uint8_t *b, float *x, int64_t count) { __builtin_memcpy(x, b, (size_t)count * 4); }

static void decode_f16(const uint8_t *b, float *x, int64_t count) {
  typedef uint16_t halves __attribute__((vector_size(2 * LANES)));
  for (; count >= LANES; count -= LANES, b += 2 * LANES, x += LANES) {
    halves h;
    __builtin_memcpy(&h, b, sizeof h);
    store(x, half_value(__builtin_convertvector(h, vu)));
  }
  for (; count > 0; count--, b += 2, x++) *x = half_at(b);
}

static void decode_bf16(const uint8_t *b, float *x, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    uint16_t h;
    __builtin_memcpy(&h, b + 2 * i, 2);
    uint32_t bits = (uint32_t)h << 16;
    __builtin_memcpy(x + i, &bits, 4);
  }
}

static void decode_q4_0(const uint8_t *b, float *x, int64_t count) {
  EACH_BLOCK(18, 32) {
    float d = half_at(b);
    for (int j = 0; j < 16; j++) x[j] = (float)((b[2 + j] & 0xF) - 8) * d;
    for (int j = 0; j < 16; j++) x[j + 16] = (float)((b[2 + j] >> 4) - 8) * d;
  }
}

static void decode_q4_1(const uint8_t *b, float *x, int64_t count) {
  EACH_BLOCK(20, 32) {
    float d = half_at(b), m = half_at(b + 2);
    for (int j = 0; j < 16; j++) x[j] = (float)(b[4 + j] & 0xF) * d + m;
    for (int j = 0; j < 16; j++) x[j + 16] = (float)(b[4 + j] >> 4) * d + m;
  }
}

// The 32 levels of five bits: nibbles and the high bits before them.
INLINE void five_bits(const uint8_t *b, uint8_t *q) {
  uint32_t high;
  __builtin_memcpy(&high, b, 4);
  for (int j = 0; j < 16; j++) q[j] = (uint8_t)((b[4 + j] & 0xF) | (high >> j & 1) << 4);
  for (int j = 0; j < 16; j++) q[j + 16] = (uint8_t)(b[4 + j] >> 4 | (high >> (j + 16) & 1) << 4);
}

static void decode_q5_0(const uint8_t *b, float *x, int64_t count) {
  EACH_BLOCK(22, 32) {
    float d = half_at(b);
    uint8_t q[32];
    five_bits(b + 2, q);
    for (int j = 0; j < 32; j++) x[j] = (float)(q[j] - 16) * d;
  }
}

static void decode_q5_1(const uint8_t *b, float *x, int64_t count) {
  EACH_BLOCK(24, 32) {
    float d = half_at(b), m = half_at(b + 2);
    uint8_t q[32];
    five_bits(b + 4, q);
    for (int j = 0; j < 32; j++) x[j] = (float)q[j] * d + m;
  }
}

static void decode_q8_0(const uint8_t *b, float *x, int64_t count) {
  EACH_BLOCK(34, 32) {
    float d = half_at(b);
    for (int j = 0; j < 32; j++) x[j] = (float)(int8_t)b[2 + j] * d;
  }
}

static void decode_q2_K(const uint8_t *b, float *x, int64_t count) {
  EACH_BLOCK(84, 256) {
    float d = half_at(b + 80), dmin = half_at(b + 82);
    for (int group = 0; group < 16; group++) {
      float dl = d * (float)(b[group] & 0xF), ml = dmin * (float)(b[group] >> 4);
      const uint8_t *q = b + 16 + 32 * (group / 8) + 16 * (group % 2);
      int shift = group % 8 / 2 * 2;
      for (int l = 0; l < 16; l++) x[16 * group + l] = dl * (float)(q[l] >> shift & 3) - ml;
    }
  }
}

static void decode_q3_K(const uint8_t *b, float *x, int64_t count) {
  EACH_BLOCK(110, 256) {
    float d = half_at(b + 108);
    for (int group = 0; group < 16; group++) {
      int low = b[96 + group % 8] >> (group / 8 * 4) & 0xF, high = b[104 + group % 4] >> (group / 4 * 2) & 3;
      float dl = d * (float)((low | high << 4) - 32);
      const uint8_t *q = b + 32 + 32 * (group / 8) + 16 * (group % 2), *mask = b + 16 * (group % 2);
      int shift = group % 8 / 2 * 2, plane = group / 2;
      for (int l = 0; l < 16; l++) {
        x[16 * group + l] = dl * (float)((q[l] >> shift & 3) + ((mask[l] >> plane & 1) << 2) - 4);
      }
    }
  }
}

// The six-bit scale and min of group j.
INLINE void scale_and_min(const uint8_t *s, int j, int *scale, int *min) {
  *scale = j < 4 ? s[j] & 63 : (s[j + 4] & 0xF) | (s[j - 4] >> 6) << 4;
  *min = j < 4 ? s[j + 4] & 63 : s[j + 4] >> 4 | (s[j] >> 6) << 4;
}

static void decode_q4_K(const uint8_t *b, float *x, int64_t count) {
  EACH_BLOCK(144, 256) {
    float d = half_at(b), dmin = half_at(b + 2);
    for (int group = 0; group < 8; group++) {
      int scale, min;
      scale_and_min(b + 4, group, &scale, &min);
      float dl = d * (float)scale, ml = dmin * (float)min;
      const uint8_t *q = b + 16 + 32 * (group / 2);
      int shift = group % 2 * 4;
      for (int l = 0; l < 32; l++) x[32 * group + l] = dl * (float)(q[l] >> shift & 0xF) - ml;
    }
  }
}

static void decode_q5_K(const uint8_t *b, float *x, int64_t count) {
  EACH_BLOCK(176, 256) {
    float d = half_at(b), dmin = half_at(b + 2);
    for (int group = 0; group < 8; group++) {
      int scale, min;
      scale_and_min(b + 4, group, &scale, &min);
      float dl = d * (float)scale, ml = dmin * (float)min;
      const uint8_t *q = b + 48 + 32 * (group / 2);
      int shift = group % 2 * 4;
      for (int l = 0; l < 32; l++) {
        x[32 * group + l] = dl * (float)((q[l] >> shift & 0xF) | (b[16 + l] >> group & 1) << 4) - ml;
      }
    }
  }
}

static void decode_q6_K(const uint8_t *b, float *x, int64_t count) {
  EACH_BLOCK(210, 256) {
    float d = half_at(b + 208);
    for (int group = 0; group < 16; group++) {
      float dl = d * (float)(int8_t)b[192 + group];
      int half = group / 8, quarter = group % 8 / 2, column = 16 * (group % 2);
      const uint8_t *ql = b + 64 * half + 32 * (quarter % 2) + column, *qh = b + 128 + 32 * half + column;
      for (int l = 0; l < 16; l++) {
        int q = (ql[l] >> (quarter / 2 * 4) & 0xF) | (qh[l] >> (2 * quarter) & 3) << 4;
        x[16 * group + l] = dl * (float)(q - 32);
      }
    }
  }
}

// 1 sign, 4 exponent (bias 7), 3 fraction bits, no infinities; 0x7F and 0xFF are NaN.
INLINE vf e4m3_value(vu byte) {
  vu m = byte & 0x7fu;
  vf value = (vf)(m << 20) * 0x1p120f;
  vu nan = (vu)(m == 0x7fu) & 0x7fc00000u;
  return (vf)((vu)value | nan | (byte & 0x80u) << 24);
}

INLINE vf e5m2_value(vu byte) { return half_value(byte << 8); }

#define DECODE_BYTES(NAME, VALUE)                                         \
  static void NAME(const uint8_t *b, float *x, int64_t count) {           \
    typedef uint8_t bytes __attribute__((vector_size(LANES)));            \
    for (; count >= LANES; count -= LANES, b += LANES, x += LANES) {      \
      bytes v;                                                            \
      __builtin_memcpy(&v, b, sizeof v);                                  \
      store(x, VALUE(__builtin_convertvector(v, vu)));                    \
    }                                                                     \
    for (; count > 0; count--, b++, x++) *x = VALUE((vu){} + (uint32_t)*b)[0]; \
  }

DECODE_BYTES(decode_f8_e4m3, e4m3_value)
DECODE_BYTES(decode_f8_e5m2, e5m2_value)
