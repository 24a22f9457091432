// Blocks of few levels and of four-bit floats to floats.

// q (16), of which 1 is zero: x = (q - 1) d.
INLINE void put_trits(float *x, u8x16 q, float d, bool stream) { put_16(x, q, 1, d, 0, false, stream); }

// The k-th trit of numbers that are 256/243 of what their five trits are: multiplied by three, the next moves above the byte.
INLINE u8x16 trits_of(u8x16 number, int power) {
  typedef uint16_t wide __attribute__((vector_size(32)));
  return __builtin_convertvector(__builtin_convertvector(number * (uint8_t)power, wide) * 3 >> 8, u8x16);
}

INLINE void tq1_0_values(const uint8_t *b, float *x, int64_t count, bool stream) {
  static const uint8_t powers[5] = {1, 3, 9, 27, 81};
  EACH_BLOCK(54, 256) {
    float d = half_at(b + 52);
    UNROLLED for (int k = 0; k < 5; k++) {
      put_trits(x + 32 * k, trits_of(bytes_at(b), powers[k]), d, stream);
      put_trits(x + 32 * k + 16, trits_of(bytes_at(b + 16), powers[k]), d, stream);
      put_trits(x + 160 + 16 * k, trits_of(bytes_at(b + 32), powers[k]), d, stream);
    }
    u8x16 last = bytes_at((const uint8_t[16]){
        b[48], b[49], b[50], b[51], (uint8_t)(b[48] * 3), (uint8_t)(b[49] * 3), (uint8_t)(b[50] * 3),
        (uint8_t)(b[51] * 3), (uint8_t)(b[48] * 9), (uint8_t)(b[49] * 9), (uint8_t)(b[50] * 9), (uint8_t)(b[51] * 9),
        (uint8_t)(b[48] * 27), (uint8_t)(b[49] * 27), (uint8_t)(b[50] * 27), (uint8_t)(b[51] * 27)});
    put_trits(x + 240, trits_of(last, 1), d, stream);
  }
}

DECODER(decode_tq1_0, tq1_0_values)

INLINE void tq2_0_values(const uint8_t *b, float *x, int64_t count, bool stream) {
  EACH_BLOCK(66, 256) {
    float d = half_at(b + 64);
    UNROLLED for (int group = 0; group < 16; group++) {
      u8x16 q = bytes_at(b + 32 * (group / 8) + 16 * (group % 2)) >> (group % 8 / 2 * 2) & 3;
      put_trits(x + 16 * group, q, d, stream);
    }
  }
}

DECODER(decode_tq2_0, tq2_0_values)

INLINE void q1_0_values(const uint8_t *b, float *x, int64_t count, bool stream) {
  EACH_BLOCK(18, 128) {
    float d = half_at(b);
    // 16 where a bit is set: that is two, and one is zero.
    UNROLLED for (int i = 0; i < 8; i++) put_trits(x + 16 * i, fifth_bits(b + 2 + 2 * i) >> 3, d, stream);
  }
}

DECODER(decode_q1_0, q1_0_values)

INLINE void q2_0_values(const uint8_t *b, float *x, int64_t count, bool stream) {
  const u8x16 shifts = {0, 2, 4, 6, 0, 2, 4, 6, 0, 2, 4, 6, 0, 2, 4, 6};
  EACH_BLOCK(18, 64) {
    float d = half_at(b);
    u8x16 q = bytes_at(b + 2);
    put_trits(x, __builtin_shufflevector(q, q, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3) >> shifts & 3, d, stream);
    put_trits(x + 16, __builtin_shufflevector(q, q, 4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7) >> shifts & 3, d, stream);
    put_trits(x + 32, __builtin_shufflevector(q, q, 8, 8, 8, 8, 9, 9, 9, 9, 10, 10, 10, 10, 11, 11, 11, 11) >> shifts & 3, d, stream);
    put_trits(x + 48, __builtin_shufflevector(q, q, 12, 12, 12, 12, 13, 13, 13, 13, 14, 14, 14, 14, 15, 15, 15, 15) >> shifts & 3, d, stream);
  }
}

DECODER(decode_q2_0, q2_0_values)

// Twice the magnitudes and their negatives, plus 16, of codes below 16.
INLINE u8x16 float4_levels(u8x16 code) {
#if LANES >= 8 || defined(__aarch64__)
  return looked_up((u8x16){16, 17, 18, 19, 20, 22, 24, 28, 16, 15, 14, 13, 12, 10, 8, 4}, code);
#else
  // Without a permutation: steps of one, of two from 4 on, of four from 6 on.
  u8x16 c = code & 7, above = __builtin_elementwise_sub_sat(c, (u8x16){} + 6);
  u8x16 size = c + __builtin_elementwise_sub_sat(c, (u8x16){} + 4) + above + above, negative = (u8x16)(code > 7);
  return ((size ^ negative) - negative) + 16;
#endif
}

INLINE void mxfp4_values(const uint8_t *b, float *x, int64_t count, bool stream) {
  EACH_BLOCK(17, 32) {
    float scale = exponent_scale(b[0]);
    u8x16 q = bytes_at(b + 1);
    put_16(x, float4_levels(q & 15), 16, scale, 0, false, stream);
    put_16(x + 16, float4_levels(q >> 4), 16, scale, 0, false, stream);
  }
}

DECODER(decode_mxfp4, mxfp4_values)

INLINE void nvfp4_values(const uint8_t *b, float *x, int64_t count, bool stream) {
  EACH_BLOCK(36, 64) {
    UNROLLED for (int pair = 0; pair < 2; pair++) {
      // Two groups of 16: of each, eight bytes of low nibbles, then high ones.
      u8x16 q = bytes_at(b + 4 + 16 * pair), low = q & 15, high = q >> 4;
      u8x16 first = __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
      u8x16 second = __builtin_shufflevector(low, high, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
      put_16(x + 32 * pair, float4_levels(first), 16, fraction_scale(b[2 * pair]), 0, false, stream);
      put_16(x + 32 * pair + 16, float4_levels(second), 16, fraction_scale(b[2 * pair + 1]), 0, false, stream);
    }
  }
}

DECODER(decode_nvfp4, nvfp4_values)
