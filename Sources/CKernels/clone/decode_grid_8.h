// Blocks of grids of eight to floats.

// Two entries after each other.
INLINE u8x16 two_entries(const uint8_t (*values)[8], uint32_t first, uint32_t second) {
  u8x16 v;
  __builtin_memcpy(&v, values[first], 8);
  __builtin_memcpy((uint8_t *)&v + 8, values[second], 8);
  return v;
}

// x (16) = scale * value, negative where a byte of `negative` is 0xFF.
INLINE void put_signed(float *x, u8x16 values, u8x16 negative, float scale, bool stream) {
  put_16(x, ((values ^ negative) - negative) ^ 128, 128, scale, 0, false, stream);
}

INLINE void iq2_XXS_values(const uint8_t *b, float *x, int64_t count, bool stream) {
  const uint8_t(*values)[8] = quern_grid_values_iq2_XXS(), (*signs)[8] = quern_grid_even_signs();
  EACH_BLOCK(66, 256) {
    float d = half_at(b);
    UNROLLED for (int group = 0; group < 8; group++) {
      const uint8_t *entries = b + 2 + 8 * group;
      uint32_t word;
      __builtin_memcpy(&word, entries + 4, 4);
      float scale = d * (0.5f + (float)(word >> 28)) * 0.25f;
      put_signed(x + 32 * group, two_entries(values, entries[0], entries[1]), two_entries(signs, word & 127, word >> 7 & 127),
                 scale, stream);
      put_signed(x + 32 * group + 16, two_entries(values, entries[2], entries[3]),
                 two_entries(signs, word >> 14 & 127, word >> 21 & 127), scale, stream);
    }
  }
}

DECODER(decode_iq2_XXS, iq2_XXS_values)

INLINE float iq2_scale(const uint8_t *scales, int group, float d) {
  return d * (0.5f + (float)(scales[group / 2] >> (group % 2 * 4) & 15)) * 0.25f;
}

INLINE void iq2_XS_values(const uint8_t *b, float *x, int64_t count, bool stream) {
  const uint8_t(*values)[8] = quern_grid_values_iq2_XS(), (*signs)[8] = quern_grid_even_signs();
  EACH_BLOCK(74, 256) {
    float d = half_at(b);
    UNROLLED for (int group = 0; group < 16; group++) {
      uint16_t word[2];
      __builtin_memcpy(word, b + 2 + 4 * group, 4);
      put_signed(x + 16 * group, two_entries(values, word[0] & 511, word[1] & 511),
                 two_entries(signs, word[0] >> 9, word[1] >> 9), iq2_scale(b + 66, group, d), stream);
    }
  }
}

DECODER(decode_iq2_XS, iq2_XS_values)

INLINE void iq2_S_values(const uint8_t *b, float *x, int64_t count, bool stream) {
  const uint8_t(*values)[8] = quern_grid_values_iq2_S();
  EACH_BLOCK(82, 256) {
    float d = half_at(b);
    UNROLLED for (int group = 0; group < 16; group++) {
      uint32_t high = b[66 + group / 2] >> (group % 2 * 4);
      const uint8_t *low = b + 2 + 2 * group;
      put_signed(x + 16 * group, two_entries(values, low[0] | (high & 3) << 8, low[1] | (high >> 2 & 3) << 8),
                 (u8x16)(fifth_bits(b + 34 + 2 * group) != 0), iq2_scale(b + 74, group, d), stream);
    }
  }
}

DECODER(decode_iq2_S, iq2_S_values)

// x (16) = scale (level - 1 +- 1/8), in eighths: both are exact.
INLINE void put_shifted(float *x, u8x16 eighths, uint32_t down_first, uint32_t down_second, float scale, bool stream) {
  uint8_t first = down_first ? 7 : 9, second = down_second ? 7 : 9;
  u8x16 shift = {first, first, first, first, first, first, first, first,
                 second, second, second, second, second, second, second, second};
  put_16(x, eighths + shift, 16, scale * 0.125f, 0, false, stream);
}

INLINE void iq1_S_values(const uint8_t *b, float *x, int64_t count, bool stream) {
  const uint8_t(*values)[8] = quern_grid_values_iq1();
  EACH_BLOCK(50, 256) {
    float d = half_at(b);
    for (int group = 0; group < 8; group++) {
      const uint8_t *low = b + 2 + 4 * group;
      uint16_t high;
      __builtin_memcpy(&high, b + 34 + 2 * group, 2);
      uint32_t down = high & 0x8000u;
      float scale = d * (float)(2 * (high >> 12 & 7) + 1);
      put_shifted(x + 32 * group, two_entries(values, low[0] | (high & 7u) << 8, low[1] | (high >> 3 & 7u) << 8), down, down,
                  scale, stream);
      put_shifted(x + 32 * group + 16, two_entries(values, low[2] | (high >> 6 & 7u) << 8, low[3] | (high >> 9 & 7u) << 8),
                  down, down, scale, stream);
    }
  }
}

DECODER(decode_iq1_S, iq1_S_values)

INLINE void iq1_M_values(const uint8_t *b, float *x, int64_t count, bool stream) {
  const uint8_t(*values)[8] = quern_grid_values_iq1();
  EACH_BLOCK(56, 256) {
    uint16_t words[4];
    __builtin_memcpy(words, b + 48, 8);
    uint16_t half = (uint16_t)(words[0] >> 12 | (words[1] >> 8 & 0x00f0) | (words[2] >> 4 & 0x0f00) | (words[3] & 0xf000));
    float d = half_at((const uint8_t *)&half);
    UNROLLED for (int group = 0; group < 16; group++) {
      const uint8_t *low = b + 2 * group;
      uint32_t high = b[32 + group];
      float scale = d * (float)(2 * (words[group / 4] >> (3 * (group % 4)) & 7) + 1);
      put_shifted(x + 16 * group, two_entries(values, low[0] | (high & 7) << 8, low[1] | (high >> 4 & 7) << 8), high & 8,
                  high & 128, scale, stream);
    }
  }
}

DECODER(decode_iq1_M, iq1_M_values)
