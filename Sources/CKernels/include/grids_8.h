// The grids of IQ2_XXS, IQ2_XS, IQ2_S and of IQ1: which groups of eight levels can be stored, and the neighbours of those
// that cannot.
#pragma once

#include <stdint.h>

enum {
  QUERN_GRID_8_GROUPS = 6561,  // all groups of eight levels 0, 1 and 2, numbered to the base three, the first level lowest
  QUERN_GRID_8_CHUNK = 16,     // lists of neighbours fill whole chunks
};

struct quern_grid_8 {
  int entries;
  const uint16_t *codes;           // of the entries: two bits a level, the first in the lowest
  // Of each group:
  const int16_t *entry_of;         // or -1, off the grid
  const uint16_t *neighbours_of;   // how many; none on the grid
  const uint16_t *first_chunk_of;  // where they begin
  const uint16_t *neighbours;      // codes of entries; lists are filled up with their first
  const uint32_t *selectors;       // of each neighbour: nibble i is 4 (i % 4) + the level of weight i
};

// Built when they are first asked for, by whichever thread.
const struct quern_grid_8 *quern_grid_iq2_XXS(void);
const struct quern_grid_8 *quern_grid_iq2_XS(void);
const struct quern_grid_8 *quern_grid_iq2_S(void);
const struct quern_grid_8 *quern_grid_iq1(void);

// Of each entry of IQ2, what its levels mean: 8, 25 and 43. Of each entry of IQ1, eight times its levels.
const uint8_t (*quern_grid_values_iq2_XXS(void))[8];
const uint8_t (*quern_grid_values_iq2_XS(void))[8];
const uint8_t (*quern_grid_values_iq2_S(void))[8];
const uint8_t (*quern_grid_values_iq1(void))[8];

// Of seven signs, 0xFF for each that is set, and the eighth that makes their number even.
const uint8_t (*quern_grid_even_signs(void))[8];
