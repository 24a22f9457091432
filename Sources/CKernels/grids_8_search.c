// Which entries of a grid are next to a code, for all codes, in the order in which ggml's search meets them: the first of equal
// ones wins there. Source: iq2xs_init_impl of llama.cpp 0c1e57098, ggml-quants.c, which sorts all entries for every code; here
// they are put into order by their few different distances.
#include "grids_8.h"

#include <pthread.h>
#include <string.h>

static const struct grid {
  const uint16_t *codes;
  int count;
  int shells;  // neighbours are all entries at this many smallest distances
} grids[QUERN_GRIDS_8] = {
    [QUERN_GRID_IQ2_XXS] = {quern_grid_iq2_xxs, 256, 2},
    [QUERN_GRID_IQ2_XS] = {quern_grid_iq2_xs, 512, 2},
    [QUERN_GRID_IQ2_S] = {quern_grid_iq2_s, 1024, 1},
    [QUERN_GRID_IQ1] = {quern_grid_iq1, 2048, 3},
};

const uint16_t *quern_grid_8_codes(int grid, int *count) {
  *count = grids[grid].count;
  return grids[grid].codes;
}

static uint64_t values[256 + 512 + 1024 + 2048];
static const int values_at[QUERN_GRIDS_8] = {0, 256, 256 + 512, 256 + 512 + 1024};

static void make_values(void) {
  static const uint8_t level_values[2][3] = {{8, 25, 43}, {0, 1, 2}};
  for (int grid = 0; grid < QUERN_GRIDS_8; grid++) {
    const uint8_t *of_level = level_values[grid == QUERN_GRID_IQ1];
    for (int j = 0; j < grids[grid].count; j++) {
      uint64_t word = 0;
      for (int i = 0; i < 8; i++) word |= (uint64_t)of_level[grids[grid].codes[j] >> 2 * i & 3] << 8 * i;
      values[values_at[grid] + j] = word;
    }
  }
}

const uint64_t *quern_grid_8_values(int grid) {
  static pthread_once_t made = PTHREAD_ONCE_INIT;
  pthread_once(&made, make_values);
  return values + values_at[grid];
}

// The sum of the squares of the differences of four levels each.
static uint8_t distance_4(unsigned a, unsigned b) {
  int sum = 0;
  for (int i = 0; i < 8; i += 2) {
    int difference = (int)(a >> i & 3) - (int)(b >> i & 3);
    sum += difference * difference;
  }
  return (uint8_t)sum;
}

// Neighbours of one code -> list; their number.
static int neighbours(const struct grid *grid, const uint8_t *low, const uint8_t *high, uint16_t *list) {
  uint8_t distance[2048];
  uint64_t present = 0;
  for (int j = 0; j < grid->count; j++) {
    distance[j] = low[grid->codes[j] & 0xFF] + high[grid->codes[j] >> 8];
    present |= (uint64_t)1 << distance[j];
  }
  int count = 0;
  for (int shell = 0; shell < grid->shells && present; shell++, present &= present - 1) {
    int nearest = __builtin_ctzll(present);
    for (int j = 0; j < grid->count; j++) {
      // Written always, kept where it counts. A list never holds more than all.
      list[count] = grid->codes[j];
      count += distance[j] == nearest;
    }
  }
  return count;
}

// The lengths of all lists together, filled up; known from the grids.
enum { LISTS_XXS = 161136, LISTS_XS = 230560, LISTS_S = 100576, LISTS_1 = 362352 };
#define ALIGNED __attribute__((aligned(64)))
static uint16_t lists_xxs[LISTS_XXS] ALIGNED, lists_xs[LISTS_XS] ALIGNED, lists_s[LISTS_S] ALIGNED, lists_1[LISTS_1] ALIGNED;

static struct quern_search_8 searches[QUERN_GRIDS_8];

static void make_search(int index, uint16_t *lists) {
  const struct grid *grid = &grids[index];
  struct quern_search_8 *search = &searches[index];
  search->lists = lists;
  for (int j = 0; j < grid->count; j++) search->places[grid->codes[j]] = QUERN_ON_GRID | (uint32_t)j;

  // Of the 81 codes of four weights each, the distance to every other.
  enum { HALVES = 0xAA + 1 };
  uint8_t of_half[HALVES][HALVES];
  uint16_t list[2048 + QUERN_LIST_UNIT];
  for (unsigned a = 0; a < HALVES; a++) {
    for (unsigned b = 0; b < HALVES; b++) of_half[a][b] = distance_4(a, b);
  }
  uint32_t place = 0;
  for (unsigned code = 0; code < QUERN_CODES_8; code++) {
    // A field of 3 is no level.
    if ((code & code >> 1 & 0x5555) || search->places[code]) continue;
    int count = neighbours(grid, of_half[code & 0xFF], of_half[code >> 8], list);
    search->places[code] = place << 9 | (uint32_t)count;
    int filled = (count + QUERN_LIST_UNIT - 1) / QUERN_LIST_UNIT * QUERN_LIST_UNIT;
    for (int j = count; j < filled; j++) list[j] = list[count - 1];
    memcpy(lists + (size_t)place * QUERN_LIST_UNIT, list, (size_t)filled * sizeof *list);
    place += (uint32_t)filled / QUERN_LIST_UNIT;
  }
}

static void make_xxs(void) { make_search(QUERN_GRID_IQ2_XXS, lists_xxs); }
static void make_xs(void) { make_search(QUERN_GRID_IQ2_XS, lists_xs); }
static void make_s(void) { make_search(QUERN_GRID_IQ2_S, lists_s); }
static void make_1(void) { make_search(QUERN_GRID_IQ1, lists_1); }

const struct quern_search_8 *quern_grid_8_search(int grid) {
  static pthread_once_t made[QUERN_GRIDS_8] = {PTHREAD_ONCE_INIT, PTHREAD_ONCE_INIT, PTHREAD_ONCE_INIT, PTHREAD_ONCE_INIT};
  static void (*const make[QUERN_GRIDS_8])(void) = {make_xxs, make_xs, make_s, make_1};
  pthread_once(&made[grid], make[grid]);
  return &searches[grid];
}

int quern_grid_8_index(int grid, uint16_t code) {
  if (code >= QUERN_CODES_8) return -1;
  uint32_t place = quern_grid_8_search(grid)->places[code];
  return place & QUERN_ON_GRID ? (int)(place & (QUERN_ON_GRID - 1)) : -1;
}

const uint16_t *quern_grid_8_neighbours(int grid, uint16_t code, int *count) {
  *count = 0;
  if (code >= QUERN_CODES_8) return NULL;
  const struct quern_search_8 *search = quern_grid_8_search(grid);
  uint32_t place = search->places[code];
  if (place & QUERN_ON_GRID) return NULL;
  *count = (int)(place & 511);
  return search->lists + (size_t)(place >> 9) * QUERN_LIST_UNIT;
}
