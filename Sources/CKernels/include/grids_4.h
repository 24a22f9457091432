// The grids of IQ3_XXS and IQ3_S: which groups of four levels can be stored, and the neighbours of those that cannot.
#pragma once

#include <stdint.h>

enum {
  QUERN_GRID_4_CODES = 4096,  // all groups of four levels, of three bits each, the first in the lowest bits
  QUERN_GRID_4_CHUNK = 8,     // lists of neighbours fill whole chunks
};

struct quern_grid_4 {
  int entries;
  const uint16_t *codes;           // of the entries
  const uint8_t (*values)[4];      // of each entry's levels, as they are decoded
  // Of each code:
  const int16_t *entry_of;         // or -1, off the grid
  const uint8_t *neighbours_of;    // how many; none on the grid
  const uint16_t *first_chunk_of;  // where they begin
  const uint16_t *neighbours;      // codes of entries; lists are filled up with their first
};

// Built when they are first asked for, by whichever thread.
const struct quern_grid_4 *quern_grid_iq3_XXS(void);
const struct quern_grid_4 *quern_grid_iq3_S(void);
