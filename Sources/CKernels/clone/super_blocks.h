// Blocks of 256, 128 or 32 weights, LANES of them in a batch.

// x (LANES, weights of a block) -> `count` blocks; `importance` of each block, or NULL.
typedef void batch_quantizer(const float *x, uint8_t *out, int count, const float *const *importance);

// The last batch is filled up with zeros.
INLINE void batches(batch_quantizer *batch, int weights, int block_bytes, const float *x, uint8_t *out, int64_t rows,
                    int64_t columns, const float *importance) {
  float padded[256 * LANES];
  const float *of_block[LANES];
  int64_t column = 0;
  for (int64_t left = rows * (columns / weights); left > 0; left -= LANES) {
    int count = left < LANES ? (int)left : LANES;
    const float *source = x;
    if (count < LANES) {
      __builtin_memset(padded, 0, (size_t)(weights * LANES) * sizeof *x);
      __builtin_memcpy(padded, x, (size_t)(count * weights) * sizeof *x);
      source = padded;
    }
    if (importance) {
      for (int k = 0; k < LANES; k++) {
        of_block[k] = importance + column;
        column = column + weights == columns ? 0 : column + weights;
      }
    }
    batch(source, out, count, importance ? of_block : NULL);
    x += weights * LANES;
    out += block_bytes * LANES;
  }
}

INLINE void super_blocks(batch_quantizer *batch, int block_bytes, const float *x, uint8_t *out, int64_t rows,
                         int64_t columns, const float *importance) {
  batches(batch, 256, block_bytes, x, out, rows, columns, importance);
}

// Results of the search, a sub-block each, in order.
struct affine_found {
  float scale[16 * LANES], minimum[16 * LANES], weight[16 * LANES], inverse[16 * LANES], low[16 * LANES];
};

INLINE void keep_affine(struct affine_found *found, int at, const struct affine *r) {
  for (int g = 0; g < GROUPS; g++) {
    store(found->scale + at + g * LANES, r[g].scale);
    store(found->minimum + at + g * LANES, r[g].minimum);
    store(found->weight + at + g * LANES, r[g].weight);
    store(found->inverse + at + g * LANES, r[g].inverse);
    store(found->low + at + g * LANES, r[g].low);
  }
}

// values (LANES, n) -> vectors (n) whose lane k is super-block k.
INLINE void by_super_block(int n, const float *values, vf *out) {
  for (int j = 0; j < n; j++) {
    float row[LANES];
    for (int k = 0; k < LANES; k++) row[k] = values[k * n + j];
    out[j] = load(row);
  }
}

// Squares of LANES super-blocks, each summed in order.
INLINE vf sum_squares(const float *x) {
  vf sum = {};
  for (int c = 0; c < 256; c += LANES) {
    vf r[LANES];
    UNROLLED for (int k = 0; k < LANES; k++) r[k] = load(x + 256 * k + c);
    transpose(r);
    UNROLLED for (int k = 0; k < LANES; k++) sum += r[k] * r[k];
  }
  return sum;
}

// Their mean, times `factor`.
INLINE vf mean_squares(const float *x, float factor) { return factor * sum_squares(x) / 256.0f; }

// weights = importance * sqrt(variance + x^2), of one super-block.
INLINE void importance_weights(const float *x, const float *importance, float variance, float *weights) {
  UNROLLED for (int i = 0; i < 256; i += LANES) {
    vf v = load(x + i);
    store(weights + i, load(importance + i) * __builtin_elementwise_sqrt(variance + v * v));
  }
}

struct symmetric_found {
  float scale[16 * LANES], weight[16 * LANES], inverse[16 * LANES];
  int32_t alive[16 * LANES];
};

INLINE void keep_symmetric(struct symmetric_found *found, int at, int groups, const struct symmetric *r) {
  for (int g = 0; g < groups; g++) {
    store(found->scale + at + g * LANES, r[g].scale);
    store(found->inverse + at + g * LANES, r[g].inverse);
    __builtin_memcpy(found->alive + at + g * LANES, &r[g].alive, sizeof(vi));
  }
}

// The sign of a NaN that an operation makes differs between processors; stored is that of x86, so that all give the same bytes.
#if defined(__aarch64__)
#define NAN_SIGN 0x8000u
#else
#define NAN_SIGN 0u
#endif

// d of LANES super-blocks as it is stored, and as it will be read. It is NaN where finite values overflow in the search.
INLINE void round_to_half(vf d, uint16_t *half, float *value) {
  vu h = half_bits(d) ^ ((vu)(d != d) & NAN_SIGN);
  store(value, half_value(h));
  uint32_t wide[LANES];
  __builtin_memcpy(wide, &h, sizeof h);
  for (int k = 0; k < LANES; k++) half[k] = (uint16_t)wide[k];
}

// Four planes of 32 two-bit levels in 32 bytes, twice.
INLINE void pack_pairs(const uint8_t *l, uint8_t *out) {
  for (int half = 0; half < 2; half++) {
    for (int i = 0; i < 32; i++) {
      const uint8_t *q = l + 128 * half + i;
      out[32 * half + i] = (uint8_t)(q[0] | q[32] << 2 | q[64] << 4 | q[96] << 6);
    }
  }
}
