#include "table.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const struct quern_clone *supported(int index) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  switch (index) {
  case 0: return __builtin_cpu_supports("x86-64-v4") ? &quern_clone_v4 : NULL;
  case 1: return __builtin_cpu_supports("x86-64-v3") ? &quern_clone_v3 : NULL;
  default: return &quern_clone_baseline;
  }
#elif defined(__aarch64__)
  return index == 0 ? &quern_clone_arm64 : NULL;
#else
  return index == 0 ? &quern_clone_baseline : NULL;
#endif
}

enum { CLONES = 3 };

static const struct quern_clone *named(const char *name) {
  for (int i = 0; i < CLONES; i++) {
    const struct quern_clone *clone = supported(i);
    if (clone && strcmp(clone->name, name) == 0) return clone;
  }
  return NULL;
}

static _Atomic(const struct quern_clone *) chosen;

// Threads that come here together find the same clone.
static const struct quern_clone *clone_in_use(void) {
  const struct quern_clone *clone = atomic_load_explicit(&chosen, memory_order_acquire);
  if (clone) return clone;
  const char *wanted = getenv("QUERN_ISA");
  if (wanted && *wanted) clone = named(wanted);
  for (int i = 0; !clone && i < CLONES; i++) clone = supported(i);
  atomic_store_explicit(&chosen, clone, memory_order_release);
  return clone;
}

const char *quern_kernels_isa(void) { return clone_in_use()->name; }

const char *quern_kernels_unknown_isa(void) {
  const char *wanted = getenv("QUERN_ISA");
  return wanted && *wanted && !named(wanted) ? wanted : NULL;
}

bool quern_kernels_use(const char *isa) {
  const struct quern_clone *clone = named(isa);
  if (clone) atomic_store_explicit(&chosen, clone, memory_order_release);
  return clone != NULL;
}

const char *quern_kernels_available(int index) {
  for (int i = 0; i < CLONES; i++) {
    const struct quern_clone *clone = supported(i);
    if (clone && index-- == 0) return clone->name;
  }
  return NULL;
}

static const struct quern_format none;

static const struct quern_format *format(uint32_t type) {
  return type < QUERN_TYPES ? &clone_in_use()->formats[type] : &none;
}

bool quern_kernels_quantizes(uint32_t type, bool with_importance) {
  return (with_importance ? format(type)->weighted : format(type)->plain) != NULL;
}

bool quern_kernels_dequantizes(uint32_t type) { return format(type)->dequantize != NULL; }

bool quern_quantize(uint32_t type, const float *x, void *out, int64_t rows, int64_t columns, const float *importance) {
  quern_quantizer *kernel = importance ? format(type)->weighted : format(type)->plain;
  if (kernel) kernel(x, out, rows, columns, importance);
  return kernel != NULL;
}

bool quern_dequantize(uint32_t type, const void *blocks, float *x, int64_t count) {
  quern_dequantizer *kernel = format(type)->dequantize;
  if (kernel) kernel(blocks, x, count);
  return kernel != NULL;
}

bool quern_all_finite(const float *x, int64_t count) { return clone_in_use()->all_finite(x, count); }

static const struct quern_products *products(void) {
  const struct quern_clone *clone = clone_in_use();
#if defined(__x86_64__)
  if (clone == &quern_clone_v4 && __builtin_cpu_supports("avx512bf16")) return &quern_products_v4_bf16;
#endif
  return clone->products;
}

void quern_pack(
    enum quern_arithmetic arithmetic, const float *w, int64_t stride, int64_t rows, int64_t columns, uint32_t *panels,
    int64_t depth) {
  products()->pack(arithmetic, w, stride, rows, columns, panels, depth);
}

void quern_pack_transposed(
    const float *w, int64_t stride, int64_t rows, int64_t columns, uint32_t *panels, int64_t depth) {
  products()->pack_transposed(w, stride, rows, columns, panels, depth);
}

void quern_multiply(const struct quern_product *product) {
  products()->multiply[product->arithmetic == QUERN_ARITHMETIC_BF16](product);
}

bool quern_products_have_bf16(void) { return products()->has_bf16; }

static const struct quern_rows *rows(void) { return &clone_in_use()->rows; }

float quern_row_maximum(const float *x, int64_t count) { return rows()->maximum(x, count); }

void quern_row_softmax(float *x, int64_t count) { rows()->softmax(x, count); }

void quern_row_swiglu(float *gate, const float *up, int64_t count) { rows()->swiglu(gate, up, count); }

void quern_row_rms_norm(const float *x, const float *weight, float epsilon, float *y, int64_t count) {
  rows()->rms_norm(x, weight, epsilon, y, count);
}

void quern_row_rotate(float *x, int64_t heads, int64_t head_size, const float *cosines, const float *sines) {
  rows()->rotate(x, heads, head_size, cosines, sines);
}

double quern_row_sum_of_exponentials(const float *x, float maximum, int64_t count) {
  return rows()->sum_of_exponentials(x, maximum, count);
}

double quern_row_divergence(const float *x, const float *y, const struct quern_divergence *of, int64_t count) {
  return rows()->divergence(x, y, of, count);
}

int64_t quern_row_index(const float *x, float value, int64_t count) { return rows()->index(x, value, count); }

void quern_refine_levels(const struct quern_levels *f, int64_t rows, const float *x, int64_t stride,
                         const float *weights, bool weighs_rows, const struct quern_scales *s, int rounds) {
  clone_in_use()->refine_levels(f, rows, x, stride, weights, weighs_rows, s, rounds);
}

void quern_find_levels(const struct quern_levels *f, int64_t rows, const float *x, int64_t stride,
                       const struct quern_scales *s, uint8_t *levels) {
  clone_in_use()->find_levels(f, rows, x, stride, s, levels);
}

void quern_take_up_errors(const float *coefficients, int64_t width, int64_t count, const float *errors, float *y,
                          int64_t weights, int64_t rows, int64_t stride) {
  clone_in_use()->take_up_errors(coefficients, width, count, errors, y, weights, rows, stride);
}

void quern_round_levels(const struct quern_levels *f, const struct quern_feedback *block, int64_t rows, int64_t stride,
                        const struct quern_scales *s) {
  clone_in_use()->round_levels(f, block, rows, stride, s);
}

void quern_subtract_strip(const double *strip, int64_t depth, int64_t row, double *a, int64_t stride) {
  clone_in_use()->subtract_strip(strip, depth, row, a, stride);
}

void quern_solve_strip(const double *corner, int64_t depth, double *tile) {
  clone_in_use()->solve_strip(corner, depth, tile);
}
