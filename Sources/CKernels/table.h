// What a clone offers.
#pragma once

#include "CKernels.h"

#include <stddef.h>

typedef void quern_quantizer(const float *x, uint8_t *out, int64_t rows, int64_t columns, const float *importance);
typedef void quern_dequantizer(const uint8_t *blocks, float *x, int64_t count);

struct quern_format {
  quern_quantizer *plain;
  quern_quantizer *weighted;  // the same as `plain` where importance is ignored
  quern_dequantizer *dequantize;
};

enum { QUERN_TYPES = 66 };

typedef void quern_multiplier(const struct quern_product *product);
typedef void quern_packer(
    enum quern_arithmetic arithmetic, const float *w, int64_t stride, int64_t rows, int64_t columns, uint32_t *panels,
    int64_t depth);

struct quern_products {
  bool has_bf16;
  quern_multiplier *multiply[2];  // by enum quern_arithmetic
  quern_packer *pack;
  void (*pack_transposed)(
      const float *w, int64_t stride, int64_t rows, int64_t columns, uint32_t *panels, int64_t depth);
};

struct quern_rows {
  float (*maximum)(const float *x, int64_t count);
  void (*softmax)(float *x, int64_t count);
  void (*swiglu)(float *gate, const float *up, int64_t count);
  void (*rms_norm)(const float *x, const float *weight, float epsilon, float *y, int64_t count);
  void (*rotate)(float *x, int64_t heads, int64_t head_size, const float *cosines, const float *sines);
  double (*sum_of_exponentials)(const float *x, float maximum, int64_t count);
  double (*divergence)(const float *x, const float *y, const struct quern_divergence *of, int64_t count);
  int64_t (*index)(const float *x, float value, int64_t count);
};

struct quern_clone {
  const char *name;
  const struct quern_products *products;
  bool (*all_finite)(const float *x, int64_t count);
  struct quern_rows rows;
  void (*refine_levels)(const struct quern_levels *f, int64_t rows, const float *x, int64_t stride, const float *w,
                        bool weighs_rows, const struct quern_scales *s, int rounds);
  void (*find_levels)(const struct quern_levels *f, int64_t rows, const float *x, int64_t stride,
                      const struct quern_scales *s, uint8_t *levels);
  void (*take_up_errors)(const float *coefficients, int64_t width, int64_t count, const float *e, float *y,
                         int64_t weights, int64_t rows, int64_t stride);
  void (*round_levels)(const struct quern_levels *f, const struct quern_feedback *b, int64_t rows, int64_t stride,
                       const struct quern_scales *s);
  void (*subtract_strip)(const double *strip, int64_t depth, int64_t row, double *a, int64_t stride);
  void (*solve_strip)(const double *corner, int64_t depth, double *tile);
  struct quern_format formats[QUERN_TYPES];
};

#if defined(__x86_64__)
extern const struct quern_clone quern_clone_v4, quern_clone_v3;
extern const struct quern_products quern_products_v4_bf16, quern_products_v4, quern_products_v3;
#endif
#if defined(__aarch64__)
extern const struct quern_clone quern_clone_arm64;
extern const struct quern_products quern_products_arm64;
#else
extern const struct quern_clone quern_clone_baseline;
extern const struct quern_products quern_products_baseline;
#endif
