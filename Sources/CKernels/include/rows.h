// Arithmetic on rows of floats, as RowDefinition.swift defines it, to the bit on every instruction set: sixteen lanes, whose
// sums are halved at the end.
#pragma once

#include <stdint.h>

// The largest element; -infinity when there is none. NaN is never the largest.
float quern_row_maximum(const float *x, int64_t count);

// x = e^(x - max) / sum of e^(x - max)
void quern_row_softmax(float *x, int64_t count);

// gate = gate / (1 + e^-gate) * up
void quern_row_swiglu(float *gate, const float *up, int64_t count);

// y = x / sqrt(mean(x^2) + epsilon) * weight. `y` may be `x`.
void quern_row_rms_norm(const float *x, const float *weight, float epsilon, float *y, int64_t count);

// Rotates the pairs (2i, 2i + 1) of each head by angles whose cosines and sines (head_size / 2) are given.
void quern_row_rotate(float *x, int64_t heads, int64_t head_size, const float *cosines, const float *sines);

// Sum of e^(x - maximum).
double quern_row_sum_of_exponentials(const float *x, float maximum, int64_t count);

// Of two rows of logits: their maxima, the difference of the logarithms of their sums of exponentials (x's less y's), and
// e^-x_maximum of x's sum over e^-y_maximum of y's.
struct quern_divergence {
  float x_maximum, y_maximum, shift, ratio;
};

// Sum of e^(x - x_maximum) (e^-d - 1 + d) for d = x - y - shift.
double quern_row_divergence(const float *x, const float *y, const struct quern_divergence *of, int64_t count);

// The first place that holds `value`; -1 when none does.
int64_t quern_row_index(const float *x, float value, int64_t count);
