// The whole of a clone; included once by each kernels_*.c, which defines
//   CLONE         its name
//   LANES         floats in a vector
//   GROUPS        vectors worked on side by side, to hide latency
//   HAS_ROUNDING  whether the set has an instruction that rounds to the nearest even
//   HAS_HALF      whether it converts halves

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
#include "legacy.h"
#include "legacy_weighted.h"
#include "grid_4.h"
#include "blocks_iq3.h"
#include "blocks_iq4.h"
#include "ternary.h"
#include "float4.h"
#include "grid_8.h"
#include "blocks_iq2.h"
#include "ternary_split.h"
#include "blocks_iq1.h"
#include "levels.h"
#include "feedback.h"
#include "factor.h"
#include "decode.h"
#include "decode_iq.h"
#include "decode_grid_8.h"
#include "decode_few.h"
#include "rows.h"

#define JOINED(a, b) a##b
#define NAMED(a, b) JOINED(a, b)
#define TEXT(a) #a
#define QUOTED(a) TEXT(a)

const struct quern_clone NAMED(quern_clone_, CLONE) = {
    .name = QUOTED(CLONE),
    .products = &NAMED(quern_products_, CLONE),
    .all_finite = all_finite,
    .rows = {
        .maximum = row_maximum,
        .softmax = row_softmax,
        .swiglu = row_swiglu,
        .rms_norm = row_rms_norm,
        .rotate = row_rotate,
        .sum_of_exponentials = row_sum_of_exponentials,
        .divergence = row_divergence,
        .index = row_index,
    },
    .refine_levels = refine_levels,
    .find_levels = find_levels,
    .take_up_errors = take_up_errors,
    .round_levels = round_levels,
    .subtract_strip = subtract_strip,
    .solve_strip = solve_strip,
    .formats = {
        [0] = {quantize_f32, quantize_f32, decode_f32},
        [1] = {quantize_f16, quantize_f16, decode_f16},
        [2] = {quantize_q4_0, quantize_q4_0_weighted, decode_q4_0},
        [3] = {quantize_q4_1, quantize_q4_1_weighted, decode_q4_1},
        [6] = {quantize_q5_0, quantize_q5_0_weighted, decode_q5_0},
        [7] = {quantize_q5_1, quantize_q5_1_weighted, decode_q5_1},
        [8] = {quantize_q8_0, quantize_q8_0, decode_q8_0},
        [10] = {quantize_q2_K, quantize_q2_K_weighted, decode_q2_K},
        [11] = {quantize_q3_K, quantize_q3_K_weighted, decode_q3_K},
        [12] = {quantize_q4_K, quantize_q4_K_weighted, decode_q4_K},
        [13] = {quantize_q5_K, quantize_q5_K_weighted, decode_q5_K},
        [14] = {quantize_q6_K, quantize_q6_K_weighted, decode_q6_K},
        [16] = {NULL, quantize_iq2_XXS_weighted, decode_iq2_XXS},
        [17] = {NULL, quantize_iq2_XS_weighted, decode_iq2_XS},
        [18] = {quantize_iq3_XXS, quantize_iq3_XXS_weighted, decode_iq3_XXS},
        [19] = {NULL, quantize_iq1_S_weighted, decode_iq1_S},
        [20] = {quantize_iq4_NL, quantize_iq4_NL_weighted, decode_iq4_NL},
        [21] = {quantize_iq3_S, quantize_iq3_S_weighted, decode_iq3_S},
        [22] = {quantize_iq2_S, quantize_iq2_S_weighted, decode_iq2_S},
        [23] = {quantize_iq4_XS, quantize_iq4_XS_weighted, decode_iq4_XS},
        [29] = {quantize_iq1_M, quantize_iq1_M_weighted, decode_iq1_M},
        [30] = {quantize_bf16, quantize_bf16, decode_bf16},
        [34] = {quantize_tq1_0, quantize_tq1_0, decode_tq1_0},
        [35] = {quantize_tq2_0, quantize_tq2_0, decode_tq2_0},
        [39] = {quantize_mxfp4, quantize_mxfp4, decode_mxfp4},
        [40] = {quantize_nvfp4, quantize_nvfp4, decode_nvfp4},
        [41] = {quantize_q1_0, quantize_q1_0, decode_q1_0},
        [42] = {quantize_q2_0, quantize_q2_0, decode_q2_0},
        [QUERN_TYPE_F8_E4M3] = {NULL, NULL, decode_f8_e4m3},
        [QUERN_TYPE_F8_E5M2] = {NULL, NULL, decode_f8_e5m2},
    },
};
