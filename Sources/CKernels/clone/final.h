// Levels of the final scales, in the order of the elements.

// l[i] = clamp(nearest_int((x[i] + m) / d), low, high) + shift. The division is part of the definition.
INLINE void final_levels(int n, const float *x, float d, float m, int low, int high, int shift, uint8_t *l) {
  UNROLLED for (int i = 0; i < n; i += LANES) {
    vu bits = clamped_bits(rounded_bits((load(x + i) + m) / d), low, high);
    store_bytes(l + i, bits + (uint32_t)shift);
  }
}

// What the search found, kept where the final scale is zero.
INLINE void kept_levels(int n, const float *x, float inverse, float low, int bottom, int top, int shift, uint8_t *l) {
  UNROLLED for (int i = 0; i < n; i += LANES) {
    vu bits = clamped_bits(rounded_bits(inverse * (load(x + i) - low)), bottom, top);
    store_bytes(l + i, bits + (uint32_t)shift);
  }
}
