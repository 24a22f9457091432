// Blocks of uneven levels and of grids to floats.

// table[index], for indices below 16.
INLINE u8x16 looked_up(u8x16 table, u8x16 index) {
#if defined(__x86_64__) && LANES >= 8
  typedef char chars __attribute__((vector_size(16)));
  return (u8x16)__builtin_ia32_pshufb128((chars)table, (chars)index);
#elif defined(__aarch64__)
  return (u8x16)vqtbl1q_u8((uint8x16_t)table, (uint8x16_t)index);
#else
  u8x16 found;
  for (int i = 0; i < 16; i++) found[i] = table[index[i]];
  return found;
#endif
}

// 32 weights of one scale: element j in the low nibble of byte j, element j + 16 in the high one.
INLINE void iq4_values(const uint8_t *qs, float *x, float scale, bool stream) {
  // The levels less their offset of 128, which `put_16` subtracts.
  const u8x16 levels = {1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241};
  u8x16 q = bytes_at(qs);
  put_16(x, looked_up(levels, q & 15), 128, scale, 0, false, stream);
  put_16(x + 16, looked_up(levels, q >> 4), 128, scale, 0, false, stream);
}

INLINE void iq4_NL_values(const uint8_t *b, float *x, int64_t count, bool stream) {
  EACH_BLOCK(18, 32) iq4_values(b + 2, x, half_at(b), stream);
}

DECODER(decode_iq4_NL, iq4_NL_values)

INLINE void iq4_XS_values(const uint8_t *b, float *x, int64_t count, bool stream) {
  EACH_BLOCK(136, 256) {
    float d = half_at(b);
    int high = b[2] | b[3] << 8;
    UNROLLED for (int group = 0; group < 8; group++) {
      int scale = (b[4 + group / 2] >> (group % 2 * 4) & 15) | (high >> (2 * group) & 3) << 4;
      iq4_values(b + 8 + 16 * group, x + 32 * group, d * (float)(scale - 32), stream);
    }
  }
}

DECODER(decode_iq4_XS, iq4_XS_values)
