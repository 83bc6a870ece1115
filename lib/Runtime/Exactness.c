/* The exactness certificate: which sums of rows are exact in float32, whatever their order.
 *
 * A row of codes adds code * scale + bias, its scale and bias half floats, to the sum of each column. Let u be the
 * largest power of two of which all scales and biases of a table are multiples, m the largest code, and r the largest
 * m * |scale| + |bias| of a row. For a bag of n ids with n * r <= 2^24 * u:
 *
 *   - Every number that any arithmetic can meet on the way (a code times its scale, a sum of biases, a value that a row
 *     could have, a sum of some of these over some rows of the bag) is a multiple of u, for all are sums of scales and
 *     biases, each taken a whole number of times.
 *   - None is larger than n * r, for each row adds at most m times its scale and once its bias.
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

/* Of an infinity and a NaN; finite half floats have lower bits alone. */
static const uint64_t not_finite = ~((UINT64_C(1) << 40) - 1);

/* The magnitude of a half float in units of 2^-24, of which every finite one is a multiple. */
static inline uint64_t magnitude(uint32_t half) {
  const uint32_t exponent = half >> 10 & 31, fraction = half & 0x3ff;
  return exponent ? (uint64_t)(fraction | 0x400) << (exponent - 1) : fraction;
}

/* What is known of the rows read so far, in units of 2^-24. */
struct extent {
  uint64_t bits;    /* of any scale or bias: the lowest is u */
  uint64_t largest; /* r */
};

static struct extent extend(struct extent extent, const char *rows, int64_t count, int64_t row_bytes, int64_t code) {
  for (int64_t i = 0; i < count; ++i) {
    uint32_t header;
    memcpy(&header, rows + i * row_bytes, sizeof header);
    const uint64_t scale = magnitude(header & 0xffff), bias = magnitude(header >> 16);
    const uint64_t row = (uint64_t)code * scale + bias;
    extent.bits |= scale | bias;
    extent.largest = row > extent.largest ? row : extent.largest;
  }
  return extent;
}

/* The largest n. Scales and biases below 2^40 keep everything here below 2^64. */
static int64_t longest_bag(struct extent extent) {
  if (extent.bits & not_finite)
    return 0;
  if (!extent.largest)
    return INT64_MAX;
  return (int64_t)((UINT64_C(1) << (24 + __builtin_ctzll(extent.bits))) / extent.largest);
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

static int64_t certify(const struct trec_table *table, const struct trec_table_desc *desc) {
  const int64_t code = largest_code(desc);
  struct extent extent = {0, 0};
  int64_t length = code ? INT64_MAX : 0;
  for (int64_t row = 0; row < table->num_rows && length; row += BLOCK_ROWS) {
    const int64_t left = table->num_rows - row, count = left < BLOCK_ROWS ? left : BLOCK_ROWS;
    extent = extend(extent, (const char *)table->rows + row * desc->row_bytes, count, desc->row_bytes, code);
    length = longest_bag(extent);
  }
  return length;
}

static void certify_all(trec_model *model) {
  for (int64_t i = 0; i < model->image->num_tables; ++i) {
    struct trec_table *table = &model->tables[i];
    if (table->is_certifiable)
      atomic_store_explicit(&table->certified_length, certify(table, &model->image->tables[i]), memory_order_relaxed);
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
