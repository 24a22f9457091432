// The whole of a clone; included once by each kernels_*.c, which defines
//   CLONE         its name
//   LANES         floats in a vector
//   GROUPS        vectors worked on side by side, to hide latency
//   HAS_ROUNDING  whether the set has an instruction that rounds to the nearest even

// A fused multiply-add rounds once where the definitions round twice: other bytes.
#pragma STDC FP_CONTRACT OFF

#include "lanes.h"
#include "half.h"
#include "affine.h"
#include "symmetric.h"
#include "positive.h"
#include "final.h"
#include "super_blocks.h"
#include "blocks23_K.h"
#include "blocks45_K.h"
#include "blocks6_K.h"

#define JOINED(a, b) a##b
#define NAMED(a, b) JOINED(a, b)
#define TEXT(a) #a
#define QUOTED(a) TEXT(a)

const struct quern_clone NAMED(quern_clone_, CLONE) = {
    .name = QUOTED(CLONE),
    .formats = {
        [10] = {quantize_q2_K, quantize_q2_K_weighted, NULL},
        [11] = {quantize_q3_K, quantize_q3_K_weighted, NULL},
        [12] = {quantize_q4_K, quantize_q4_K_weighted, NULL},
        [13] = {quantize_q5_K, quantize_q5_K_weighted, NULL},
        [14] = {quantize_q6_K, quantize_q6_K_weighted, NULL},
    },
};
