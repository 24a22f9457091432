// Prints hashes of what the kernels of products and rows compute from fixed numbers: the same on every instruction set.
#include "CKernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t state;

// Between -1 and 1, now and then very small.
static float number(void) {
  state = state * 1664525u + 1013904223u;
  float x = (float)(state >> 8) / 8388608.0f - 1.0f;
  return state % 97 == 0 ? x * 0x1p-130f : x;
}

static float *numbers(int64_t count) {
  float *x = malloc((size_t)count * 4);
  if (!x) exit(1);
  for (int64_t i = 0; i < count; i++) x[i] = number();
  return x;
}

static void hash(const char *name, const void *bytes, size_t count) {
  uint64_t sum = 14695981039346656037u;
  for (size_t i = 0; i < count; i++) sum = (sum ^ ((const uint8_t *)bytes)[i]) * 1099511628211u;
  printf("%s %016llx\n", name, (unsigned long long)sum);
}

static void product(enum quern_arithmetic arithmetic, int64_t m, int64_t n, int64_t k) {
  float *a = numbers(m * k), *w = numbers(n * k), *y = numbers(m * n);
  int64_t depth = arithmetic == QUERN_ARITHMETIC_BF16 ? (k + 1) / 2 : k;
  uint32_t *panels = calloc((size_t)((n + 31) / 32 * 32 * depth), 4), *scratch = calloc(QUERN_PRODUCT_SCRATCH, 4);
  if (!panels || !scratch) exit(1);
  quern_pack(arithmetic, w, k, n, k, panels, depth);
  struct quern_product p = {a, panels, y, scratch, m, n, k, k, depth * 32, n, 0.75f, true, arithmetic};
  quern_multiply(&p);
  char name[64];
  snprintf(name, sizeof name, "%s %dx%dx%d", arithmetic == QUERN_ARITHMETIC_BF16 ? "bf16" : "f32", (int)m, (int)n, (int)k);
  hash(name, y, (size_t)(m * n) * 4);
  free(a), free(w), free(y), free(panels), free(scratch);
}

static void rows(int64_t count) {
  float *x = numbers(count), *y = numbers(count), *z = numbers(count);
  for (int64_t i = 0; i < count; i++) x[i] *= 20;
  double sum = quern_row_sum_of_exponentials(x, quern_row_maximum(x, count), count);
  hash("sum", &sum, sizeof sum);
  struct quern_divergence of = {20, 1, 0.25f, 0.75f};
  double divergences[] = {quern_row_divergence(x, y, &of, count), quern_row_divergence(x, x, &of, count)};
  hash("divergence", divergences, sizeof divergences);
  quern_row_swiglu(x, y, count);
  quern_row_rms_norm(x, y, 1e-5f, z, count);
  quern_row_rotate(z, 1, count & ~1, x, y);
  quern_row_softmax(y, count);
  hash("swiglu", x, (size_t)count * 4);
  hash("softmax", y, (size_t)count * 4);
  hash("norm and rotation", z, (size_t)count * 4);
  free(x), free(y), free(z);
}

int main(void) {
  for (int i = 0; i < 2; i++) {
    enum quern_arithmetic arithmetic = i ? QUERN_ARITHMETIC_BF16 : QUERN_ARITHMETIC_F32;
    product(arithmetic, 1, 1, 1);
    product(arithmetic, 13, 33, 257);
    product(arithmetic, 25, 65, 700);
    product(arithmetic, 530, 34, 1111);
  }
  for (int64_t count = 1; count < 1200; count = count * 3 + 2) rows(count);
}
