/* The exactness certificate: which sums of rows are exact in float32, by the arithmetic of the contract and by kernels
 * that add biases once.
 *
 * A row of codes adds code * scale + bias, its scale and bias half floats, to the sum of each column. Let u be the
 * largest power of two of which all scales and biases of a table are multiples, m the largest code, and c, the offset,
 * a multiple of u. A kernel for a bag of n ids begins its sums of code * scale at -n * c, the sum of its biases at
 * n * c, and adds both at the end: what each row adds to either is as often above zero as below where c is half of a
 * usual m * scale, and biases are about -c. Let r be the largest magnitude, over all rows, of
 *
 *   bias, m * scale + bias     what the sum in order has of a row, before and after its code is added
 *   c, m * scale - c           what the sum of codes has of a row, before and after
 *   c + bias                   what the sum of biases has of a row
 *
 * where what lies between two of these is smaller than one of them. For n * r <= 2^24 * u and n of 4 or more:
 *
 *   - Every number on the way is a multiple of u, for all are sums of scales, biases and c, each taken a whole number
 * of times.
 *   - None is larger than n * r: a sum has one of the numbers above of each row, also of an id that is skipped, or
 *     nothing. A vector of sums of two codes times their scales has at most 4 * r, for m * scale is at most 2 * r.
 *   - A multiple of u of at most 2^24 * u is a float32: it has 24 bits, u is at least 2^-24, and 2^24 * u at most 2^39.
 *
 * So no operation rounds, with or without a fused multiply-add, and the result is the sum in the sense of mathematics.
 * A zero among the results is +0: sums start from +0, and a sum of floats that is exact is -0 only where both are. No
 * number is subnormal, so flushing these to zero changes nothing. Skipped ids add nothing, and count in n; a bad id
 * adds row 0. The mean is one product of the sum, and rounding to the output's type comes last.
 *
 * An infinity or a NaN among the scales and biases leaves no length. Nor is there one with weights per id or position:
 * a weight has bits of its own. A mapped file is taken to stay as it is while a model reads it.
 */
#include "Error.h"
#include "Model.h"

#include <string.h>

/* Rows between two looks at whether any length is left. */
enum { BLOCK_ROWS = 4096 };

/* Of shorter ones the proof does not speak. */
enum { SHORTEST_BAG = 4 };

/* Of an infinity and a NaN; finite half floats have lower bits alone. */
static const uint64_t not_finite = ~((UINT64_C(1) << 40) - 1);

/* The magnitude of a half float in units of 2^-24, of which every finite one is a multiple. */
static inline uint64_t magnitude(uint32_t half) {
  const uint32_t exponent = half >> 10 & 31, fraction = half & 0x3ff;
  return exponent ? (uint64_t)(fraction | 0x400) << (exponent - 1) : fraction;
}

static inline int64_t number(uint32_t half) {
  const int64_t value = (int64_t)magnitude(half & 0x7fff);
  return half & 0x8000 ? -value : value;
}

/* From the least to the greatest of some numbers, and of 0. */
struct range {
  int64_t low, high;
};

static inline struct range include(struct range range, int64_t value) {
  return (struct range){value < range.low ? value : range.low, value > range.high ? value : range.high};
}

static int64_t largest_of(struct range range) { return range.high > -range.low ? range.high : -range.low; }

/* What is known of the rows read so far, in units of 2^-24. */
struct extent {
  uint64_t bits;       /* of any scale or bias: the lowest is u */
  struct range codes;  /* times their scales */
  struct range biases; /* and values with the smallest code */
  struct range values; /* with the largest code */
};

static struct extent extend(struct extent extent, const char *rows, int64_t count, int64_t row_bytes, int64_t code) {
  for (int64_t i = 0; i < count; ++i) {
    uint32_t header;
    memcpy(&header, rows + i * row_bytes, sizeof header);
    const int64_t scale = number(header & 0xffff), bias = number(header >> 16);
    extent.bits |= magnitude(header & 0x7fff) | magnitude(header >> 16 & 0x7fff);
    extent.codes = include(extent.codes, code * scale);
    extent.biases = include(extent.biases, bias);
    extent.values = include(extent.values, code * scale + bias);
  }
  return extent;
}

/* r, for sums that begin at this offset. */
static int64_t largest_part(const struct extent *extent, int64_t offset) {
  const struct range codes = {extent->codes.low - offset, extent->codes.high - offset};
  const struct range biases = {extent->biases.low + offset, extent->biases.high + offset};
  int64_t largest = largest_of(extent->biases);
  const int64_t others[] = {largest_of(extent->values), largest_of(codes), largest_of(biases)};
  for (int i = 0; i < 3; ++i)
    largest = others[i] > largest ? others[i] : largest;
  return largest;
}

/* The largest n, and the offset that it is the largest with: half of the widest m * scale, or 0 where that is better.
 */
struct certificate {
  int64_t length;
  double offset;
};

/* Scales and biases below 2^40 keep everything here below 2^64. */
static struct certificate certificate_of(const struct extent *extent) {
  if (extent->bits & not_finite)
    return (struct certificate){0, 0};
  if (!extent->bits)
    return (struct certificate){INT64_MAX, 0};
  const int low_bit = __builtin_ctzll(extent->bits);
  int64_t offset = (extent->codes.low + extent->codes.high) / 2;
  offset -= offset % ((int64_t)1 << low_bit);
  if (largest_part(extent, offset) >= largest_part(extent, 0))
    offset = 0;
  const int64_t length = (int64_t)((UINT64_C(1) << (24 + low_bit)) / (uint64_t)largest_part(extent, offset));
  return (struct certificate){length < SHORTEST_BAG ? 0 : length, (double)offset * 0x1p-24};
}

/* The largest code of a row; 0 where its elements are floats. */
static int64_t largest_code(const struct trec_table_desc *desc) {
  switch (desc->weights_type) {
  case TREC_WEIGHTS_INT8:
    return 255;
  case TREC_WEIGHTS_INT4:
    return 15;
  case TREC_WEIGHTS_INT2:
    return 3;
  }
  return 0;
}

static struct certificate certify(const struct trec_table *table, const struct trec_table_desc *desc) {
  const int64_t code = largest_code(desc);
  struct extent extent = {0};
  struct certificate certificate = {code ? INT64_MAX : 0, 0};
  for (int64_t row = 0; row < table->num_rows && certificate.length; row += BLOCK_ROWS) {
    const int64_t left = table->num_rows - row, count = left < BLOCK_ROWS ? left : BLOCK_ROWS;
    extent = extend(extent, (const char *)table->rows + row * desc->row_bytes, count, desc->row_bytes, code);
    certificate = certificate_of(&extent);
  }
  return certificate;
}

static void certify_all(trec_model *model) {
  for (int64_t i = 0; i < model->image->num_tables; ++i) {
    struct trec_table *table = &model->tables[i];
    if (!table->is_certifiable)
      continue;
    const struct certificate certificate = certify(table, &model->image->tables[i]);
    atomic_store_explicit(&table->certified_offset, certificate.offset, memory_order_relaxed);
    atomic_store_explicit(&table->certified_length, certificate.length, memory_order_relaxed);
  }
}

/* The bytes that certifying may bring into memory: none of a file that was copied. */
static int64_t bytes_to_read(const trec_model *model) {
  int64_t bytes = 0;
  if (model->pages == TREC_PAGES_HUGE)
    return bytes;
  for (int64_t i = 0; i < model->image->num_tables; ++i)
    if (model->tables[i].is_certifiable)
      bytes += model->tables[i].num_rows * model->image->tables[i].row_bytes;
  return bytes;
}

void trec_certify_tables(trec_model *model, const trec_create_options *options) {
  const int is_ours = !options->tables && !options->weights_data;
  if (options->exactness == TREC_EXACTNESS_CHECK ||
      (options->exactness == TREC_EXACTNESS_AUTO && is_ours && bytes_to_read(model) <= TREC_EXACTNESS_BYTES))
    certify_all(model);
}

int32_t trec_runtime_check_exactness(trec_model *model, trec_error *error) {
  trec_error local;
  trec_error_reset(&local);
  if (model)
    certify_all(model);
  else
    trec_fail(&local, TREC_INVALID_ARGUMENT, "model is null");
  trec_error_give(error, &local);
  return local.status;
}

int64_t trec_runtime_certified_length(const trec_model *model, int64_t table) {
  if (!model || table < 0 || table >= model->image->num_tables)
    return -1;
  return atomic_load_explicit(&model->tables[table].certified_length, memory_order_relaxed);
}
