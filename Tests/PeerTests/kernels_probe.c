// The kernels alone, for where no Swift is: under an emulator, and in other processors' clones. The arguments are those of
// quern-peer, so that blocks.py drives it:
//   quantize TYPE COLUMNS IN OUT IMPORTANCE|- …
//   dequantize TYPE COUNT IN OUT …
#include "CKernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct format {
  const char *name;
  uint32_t type;
  size_t elements, bytes;
};

static const struct format formats[] = {
    {"F16", 1, 1, 2},       {"BF16", 30, 1, 2},     {"Q4_0", 2, 32, 18},    {"Q4_1", 3, 32, 20},
    {"Q5_0", 6, 32, 22},    {"Q5_1", 7, 32, 24},    {"Q8_0", 8, 32, 34},    {"Q2_K", 10, 256, 84},
    {"Q3_K", 11, 256, 110}, {"Q4_K", 12, 256, 144}, {"Q5_K", 13, 256, 176}, {"Q6_K", 14, 256, 210},
    {"IQ2_XXS", 16, 256, 66}, {"IQ2_XS", 17, 256, 74}, {"IQ3_XXS", 18, 256, 98}, {"IQ1_S", 19, 256, 50},
    {"IQ4_NL", 20, 32, 18}, {"IQ3_S", 21, 256, 110}, {"IQ2_S", 22, 256, 82}, {"IQ4_XS", 23, 256, 136},
    {"IQ1_M", 29, 256, 56}, {"TQ1_0", 34, 256, 54}, {"TQ2_0", 35, 256, 66}, {"MXFP4", 39, 32, 17},
    {"NVFP4", 40, 64, 36},  {"Q1_0", 41, 128, 18},  {"Q2_0", 42, 64, 18},
};

static void fail(const char *what, const char *name) {
  fprintf(stderr, "kernels_probe: %s: %s\n", what, name);
  exit(1);
}

static void *contents(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END)) fail("cannot be read", path);
  *size = (size_t)ftell(file);
  rewind(file);
  void *bytes = malloc(*size + 1);
  if (!bytes || fread(bytes, 1, *size, file) != *size) fail("cannot be read", path);
  fclose(file);
  return bytes;
}

static void write_file(const char *path, const void *bytes, size_t size) {
  FILE *file = fopen(path, "wb");
  if (!file || fwrite(bytes, 1, size, file) != size || fclose(file)) fail("cannot be written", path);
}

int main(int count, char **arguments) {
  if (count < 6) fail("arguments", "quantize|dequantize TYPE COLUMNS|COUNT IN OUT [IMPORTANCE|-]");
  const char *unknown = quern_kernels_unknown_isa();
  if (unknown) fail("no such instruction set", unknown);
  const struct format *format = NULL;
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
    if (strcmp(formats[i].name, arguments[2]) == 0) format = formats + i;
  }
  if (!format) fail("no such type", arguments[2]);
  size_t size, columns = strtoull(arguments[3], NULL, 10);
  void *in = contents(arguments[4], &size);
  if (strcmp(arguments[1], "quantize") == 0) {
    size_t elements = size / 4, bytes = elements / format->elements * format->bytes, weights;
    float *importance = NULL;
    if (count > 6 && strcmp(arguments[6], "-") != 0) importance = contents(arguments[6], &weights);
    if (columns == 0 || elements % columns || columns % format->elements || (importance && weights != 4 * columns)) {
      fail("not whole rows of blocks", arguments[4]);
    }
    void *out = malloc(bytes + 1);
    if (!out || !quern_quantize(format->type, in, out, (int64_t)(elements / columns), (int64_t)columns, importance)) {
      fail("no kernel", arguments[2]);
    }
    write_file(arguments[5], out, bytes);
  } else {
    if (columns % format->elements || size < columns / format->elements * format->bytes) fail("too short", arguments[4]);
    float *x = malloc(4 * columns + 1);
    if (!x || !quern_dequantize(format->type, in, x, (int64_t)columns)) fail("no kernel", arguments[2]);
    write_file(arguments[5], x, 4 * columns);
  }
}
