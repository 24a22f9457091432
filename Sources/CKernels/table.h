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

struct quern_clone {
  const char *name;
  bool (*all_finite)(const float *x, int64_t count);
  void (*refine_levels)(const struct quern_levels *f, int64_t rows, const float *x, int64_t stride, const float *w,
                        const struct quern_scales *s, int rounds);
  void (*find_levels)(const struct quern_levels *f, int64_t rows, const float *x, int64_t stride,
                      const struct quern_scales *s, uint8_t *levels);
  void (*take_up_errors)(const float *coefficients, int64_t width, int64_t count, const float *e, float *y,
                         int64_t weights, int64_t rows, int64_t stride);
  void (*round_levels)(const struct quern_levels *f, const struct quern_feedback *b, int64_t rows, int64_t stride,
                       const struct quern_scales *s);
  struct quern_format formats[QUERN_TYPES];
};

#if defined(__x86_64__)
extern const struct quern_clone quern_clone_v4, quern_clone_v3;
#endif
#if defined(__aarch64__)
extern const struct quern_clone quern_clone_arm64;
#else
extern const struct quern_clone quern_clone_baseline;
#endif
