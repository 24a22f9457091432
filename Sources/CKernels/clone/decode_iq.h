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

// Eight weights of two entries, a sign bit each.
INLINE void grid_4_values(const uint8_t (*values)[4], int first, int second, uint32_t signs, float scale, float *x, bool stream) {
  typedef uint8_t u8x8 __attribute__((vector_size(8)));
  typedef float f32x4 __attribute__((vector_size(16)));
  u8x8 value;
  __builtin_memcpy(&value, values[first], 4);
  __builtin_memcpy((uint8_t *)&value + 4, values[second], 4);
  const u32x8 bit = {1, 2, 4, 8, 16, 32, 64, 128};
  u32x8 negative = (u32x8)((((u32x8){} + signs) & bit) != 0) & 0x80000000u;
  f32x8 v = (f32x8)((u32x8)(__builtin_convertvector(value, f32x8) * scale) ^ negative);
  if (stream) {
    f32x4 part[2];
    __builtin_memcpy(part, &v, sizeof v);
    __builtin_nontemporal_store(part[0], (f32x4 *)x);
    __builtin_nontemporal_store(part[1], (f32x4 *)(x + 4));
  } else {
    __builtin_memcpy(x, &v, sizeof v);
  }
}

INLINE void iq3_XXS_values(const uint8_t *b, float *x, int64_t count, bool stream) {
  const uint8_t(*values)[4] = quern_grid_iq3_XXS()->values;
  EACH_BLOCK(98, 256) {
    float d = half_at(b);
    for (int group = 0; group < 8; group++) {
      uint32_t word;
      __builtin_memcpy(&word, b + 66 + 4 * group, 4);
      float scale = d * (0.5f + (float)(word >> 28)) * 0.5f;
      UNROLLED for (int eight = 0; eight < 4; eight++) {
        // The eighth sign makes their number even.
        uint32_t signs = word >> 7 * eight & 127;
        signs |= (uint32_t)__builtin_parity(signs) << 7;
        const uint8_t *q = b + 2 + 8 * group + 2 * eight;
        grid_4_values(values, q[0], q[1], signs, scale, x + 32 * group + 8 * eight, stream);
      }
    }
  }
}

DECODER(decode_iq3_XXS, iq3_XXS_values)

INLINE void iq3_S_values(const uint8_t *b, float *x, int64_t count, bool stream) {
  const uint8_t(*values)[4] = quern_grid_iq3_S()->values;
  EACH_BLOCK(110, 256) {
    float d = half_at(b);
    for (int group = 0; group < 8; group++) {
      float scale = d * (float)(1 + 2 * (b[106 + group / 2] >> (group % 2 * 4) & 15));
      int high = b[66 + group] << 8;
      UNROLLED for (int eight = 0; eight < 4; eight++) {
        const uint8_t *q = b + 2 + 8 * group + 2 * eight;
        int first = q[0] | (high >> 2 * eight & 256), second = q[1] | (high >> (2 * eight + 1) & 256);
        grid_4_values(values, first, second, b[74 + 4 * group + eight], scale, x + 32 * group + 8 * eight, stream);
      }
    }
  }
}

DECODER(decode_iq3_S, iq3_S_values)
