// What the grids of four and of eight levels are built with.
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

// `face *name(void)`: what `build` fills, once, by whichever thread asks first.
#define BUILT_ONCE(face, name, build, result)            \
  static pthread_once_t name##_once = PTHREAD_ONCE_INIT; \
  face *name(void) {                                     \
    pthread_once(&name##_once, build);                   \
    return result;                                       \
  }

// The square of the distance between two codes; below 256.
typedef int distance_of_codes(int a, int b);

// The entries at the `shells` smallest distances from `code` that occur, nearest first and in the order of the grid where
// equally near: the order decides between equal errors. Returns how many; whole chunks are filled, with the first at the end.
__attribute__((always_inline)) static inline int find_neighbours(distance_of_codes *distance_of, const uint16_t *codes,
                                                                 int entries, int code, int shells, int chunk,
                                                                 uint16_t *neighbours) {
  uint8_t distance[2048];
  bool occurs[256] = {false};
  for (int j = 0; j < entries; j++) {
    distance[j] = (uint8_t)distance_of(codes[j], code);
    occurs[distance[j]] = true;
  }
  int count = 0;
  for (int d = 0; d < 256 && shells > 0; d++) {
    if (!occurs[d]) continue;
    shells--;
    for (int j = 0; j < entries; j++) {
      if (distance[j] == d) neighbours[count++] = codes[j];
    }
  }
  for (int at = count; at % chunk; at++) neighbours[at] = neighbours[0];
  return count;
}

// Chunks that a list of `count` takes.
static inline int chunks_of(int count, int chunk) { return (count + chunk - 1) / chunk; }
