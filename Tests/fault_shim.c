/* Loaded before the C library: reads and writes that do part of what they are asked, and calls that fail.
 *
 * FAULT_SHORT=N: one of N reads and writes does only a part of its bytes.
 * FAULT_FAIL=N: one of N calls on files fails with EIO.
 * FAULT_SEED=S: which of them. The same seed and a single thread give the same faults.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

static uint64_t state;
static int is_known;

static uint64_t number(const char *name) {
  const char *text = getenv(name);
  return text ? strtoull(text, NULL, 10) : 0;
}

/* splitmix64; two threads that race for it change which call is hit, and nothing else. */
static uint64_t drawn(void) {
  if (!is_known) {
    is_known = 1;
    state = number("FAULT_SEED") * 0x9E3779B97F4A7C15u + 1;
  }
  uint64_t z = __atomic_add_fetch(&state, 0x9E3779B97F4A7C15u, __ATOMIC_RELAXED);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

static int hits(const char *name) {
  uint64_t of = number(name);
  return of && drawn() % of == 0;
}

static size_t part(size_t count) {
  return count > 1 && hits("FAULT_SHORT") ? 1 + drawn() % (count - 1) : count;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL(result) if (hits("FAULT_FAIL")) { errno = EIO; return result; }

ssize_t pread(int file, void *bytes, size_t count, off_t at) { FAIL(-1) return NEXT(pread)(file, bytes, part(count), at); }
ssize_t pread64(int file, void *bytes, size_t count, off64_t at) { FAIL(-1) return NEXT(pread64)(file, bytes, part(count), at); }
ssize_t pwrite(int file, const void *bytes, size_t count, off_t at) { FAIL(-1) return NEXT(pwrite)(file, bytes, part(count), at); }
ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) { FAIL(-1) return NEXT(pwrite64)(file, bytes, part(count), at); }
int fsync(int file) { FAIL(-1) return NEXT(fsync)(file); }
int fdatasync(int file) { FAIL(-1) return NEXT(fdatasync)(file); }
int ftruncate(int file, off_t size) { FAIL(-1) return NEXT(ftruncate)(file, size); }
int ftruncate64(int file, off64_t size) { FAIL(-1) return NEXT(ftruncate64)(file, size); }
int rename(const char *from, const char *to) { FAIL(-1) return NEXT(rename)(from, to); }
int link(const char *from, const char *to) { FAIL(-1) return NEXT(link)(from, to); }
int unlink(const char *path) { FAIL(-1) return NEXT(unlink)(path); }
