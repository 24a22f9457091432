// Grids of eight weights an entry, as the formats IQ1 and IQ2 use them; see CKernels.h for what a code is.
#pragma once

#include "CKernels.h"

#include <stddef.h>

extern const uint16_t quern_grid_iq2_xxs[256], quern_grid_iq2_xs[512], quern_grid_iq2_s[1024], quern_grid_iq1[2048];

// A code fills 16 bits, and its fields are at most 2.
enum { QUERN_CODES_8 = 0xAAAA + 1 };

// The entries as a decoder wants them: byte i of a word is the value of weight i. Values are 8, 25 and 43 for the levels of the
// IQ2 grids, and the levels themselves for IQ1.
const uint64_t *quern_grid_8_values(int grid);

// What a quantizer asks of a grid for every code: the entry that it is, or the entries next to it.
struct quern_search_8 {
  // Of each code QUERN_ON_GRID | index, or place << 9 | count: `count` neighbours at lists + 16 * place. 0 for what is no code.
  uint32_t places[QUERN_CODES_8];
  // Codes of the neighbours, nearest first; each list is filled up to a multiple of 16 with its last one.
  const uint16_t *lists;
};

enum { QUERN_ON_GRID = 1 << 30, QUERN_LIST_UNIT = 16 };

// Built by the first caller, at most some hundredths of a second; the others wait.
const struct quern_search_8 *quern_grid_8_search(int grid);
