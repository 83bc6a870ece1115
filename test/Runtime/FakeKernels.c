/* See FakeKernels.h. Kernel numbers are those of the test images: even ones have rows of 4 floats, odd ones of 2. Each
 * configuration works on as many samples per block as its number plus 1 says. */
#include "FakeKernels.h"
#include "FakeCuda.h"

#include <string.h>

/* The span, and so the lookup, of a block. */
static const struct trec_gpu_span *find_span(const struct trec_gpu_launch *launch, int64_t block) {
  const struct trec_gpu_span *span = launch->spans;
  while (span + 1 < launch->spans + launch->num_spans && block >= span[1].first_block)
    ++span;
  return span;
}

static int64_t load(const void *array, int bytes, int64_t i) {
  return bytes == 4 ? ((const int32_t *)array)[i] : ((const int64_t *)array)[i];
}

static int is_lower(const struct trec_gpu_report *a, const struct trec_gpu_report *b) {
  if (a->kind != b->kind)
    return a->kind > b->kind;
  if (a->batch != b->batch)
    return a->batch < b->batch;
  return a->position != b->position ? a->position < b->position : a->bag < b->bag;
}

static void report(struct trec_gpu_report *to, const struct trec_gpu_report *found) {
  if (to->place_epoch == to->epoch && !is_lower(found, to))
    return;
  to->kind = found->kind;
  to->batch = found->batch;
  to->bag = found->bag;
  to->sample = found->sample;
  to->begin = found->begin;
  to->position = found->position;
  to->value = found->value;
  to->place_epoch = to->epoch;
  to->lock += 2;
}

/* One bag, or the ids of a feature. */
struct work {
  const struct trec_gpu_launch *launch;
  const struct trec_gpu_bag *bag;
  const struct trec_gpu_batch *batch;
  int64_t place, sample, begin, end;
  int id_bytes, dim, shares_bags;
};

static void report_work(const struct work *work, int64_t kind, int64_t position, int64_t value) {
  const struct trec_gpu_report found = {.kind = kind,
                                        .batch = work->bag->batch,
                                        .bag = work->place,
                                        .sample = work->sample,
                                        .begin = work->begin,
                                        .position = position,
                                        .value = value};
  report(work->launch->report, &found);
}

/* The row of the id at a position, with the padding that rows have on the device; NULL: none. */
static const float *row_at(const struct work *work, int64_t position) {
  const struct trec_gpu_bag *bag = work->bag;
  int64_t id = load(work->batch->values, work->id_bytes, position);
  if (id == -1)
    return NULL;
  if (id < 0 || id >= (bag->remap ? bag->num_ids : bag->num_rows)) {
    if (bag->counts_bad_ids) {
      ++work->launch->report->count;
      report_work(work, TREC_GPU_BAD_ID, position, id);
    }
    id = 0;
  }
  if (bag->remap)
    id = ((const int32_t *)bag->remap)[id];
  return id < 0 ? NULL : (const float *)((const char *)bag->rows + id * 16);
}

static float *output_of(const struct work *work) {
  const int64_t output = work->bag->output - work->launch->first_output;
  return (float *)work->launch->outputs[output] + work->bag->column;
}

/* Reports a bag of another length than promised, or one that does not begin where the promises say. */
static void check_length(const struct work *work, int64_t offset) {
  const struct trec_gpu_bag *bag = work->bag;
  const int64_t length = work->end - work->begin, before = work->batch->slots ? -1 : bag->ids_before;
  const int64_t begin = before * work->launch->batch_size + work->sample * bag->length;
  if (bag->length >= 0 && (length != bag->length || (before >= 0 && work->begin != begin)))
    report_work(work, TREC_GPU_OTHER_LENGTH, offset, length);
}

static void pool(const struct work *work) {
  const struct trec_gpu_bag *bag = work->bag;
  const int64_t stride = work->launch->output_extents[bag->output - work->launch->first_output];
  float *out = output_of(work) + work->sample * stride;
  memset(out, 0, (size_t)work->dim * sizeof *out);
  if (bag->max_length >= 0 && work->end - work->begin > bag->max_length) {
    report_work(work, TREC_GPU_LONG_BAG, work->begin, work->end - work->begin);
    return;
  }
  for (int64_t i = work->begin; i < work->end; ++i) {
    const float *row = row_at(work, i);
    const float weight = bag->weights           ? bag->weights[i - work->begin]
                         : work->batch->weights ? work->batch->weights[i]
                                                : 1;
    for (int d = 0; d < work->dim && row; ++d)
      out[d] += weight * row[d];
  }
}

/* Row `i` of the ids of a feature. */
static void copy_row(const struct work *work, int64_t i) {
  const int64_t fits = work->launch->output_extents[work->bag->output - work->launch->first_output];
  if (i >= fits) {
    report_work(work, TREC_GPU_SMALL_OUTPUT, -1, work->end - work->begin);
    return;
  }
  const float *row = row_at(work, work->begin + i);
  float *out = output_of(work) + i * work->bag->row_stride;
  for (int d = 0; d < work->dim; ++d)
    out[d] = row ? row[d] : 0;
}

/* Sets begin and end; 0 where they are wrong. */
static int set_bounds(struct work *work, int64_t first, int64_t last) {
  const int bytes = (int)work->batch->offsets_bytes;
  work->begin = load(work->batch->offsets, bytes, first);
  work->end = load(work->batch->offsets, bytes, last);
  if (work->begin >= 0 && work->begin <= work->end && work->end <= work->batch->num_values)
    return 1;
  report_work(work, TREC_GPU_BAD_OFFSET, last, work->end);
  work->end = work->begin = 0;
  return 0;
}

static void run_block(struct work *work, const struct trec_gpu_span *span, int64_t block, int is_unpooled) {
  const struct trec_gpu_launch *launch = work->launch;
  const int64_t per_block = work->shares_bags ? 1 : work->bag->kernel + 1, step = span->blocks_per_bag * per_block;
  const int64_t part = (block - span->first_block) % span->blocks_per_bag;
  const int64_t key = work->batch->slots ? work->batch->slots[work->bag->key] : work->bag->key;
  const int64_t first = key * launch->batch_size;
  int64_t count = launch->batch_size;
  if (is_unpooled) {
    for (work->sample = 0; work->sample < launch->batch_size; ++work->sample)
      if (set_bounds(work, first + work->sample, first + work->sample + 1))
        check_length(work, first + work->sample);
    work->sample = -1;
    count = set_bounds(work, first, first + launch->batch_size) ? work->end - work->begin : 0;
  }
  for (int64_t base = part * per_block; base < count; base += step)
    for (int64_t i = base; i < base + per_block && i < count; ++i) {
      if (is_unpooled) {
        copy_row(work, i);
        continue;
      }
      work->sample = i;
      if (set_bounds(work, first + i, first + i + 1))
        check_length(work, first + i);
      pool(work);
    }
}

static void check_ends(const struct trec_gpu_launch *launch) {
  for (int64_t i = 0; i < launch->num_batches; ++i) {
    const struct trec_gpu_batch *batch = &launch->batches[i];
    const int64_t last = batch->num_keys * launch->batch_size;
    struct trec_gpu_report found = {.kind = TREC_GPU_BAD_OFFSET, .batch = i, .bag = -1, .sample = -1};
    found.value = load(batch->offsets, (int)batch->offsets_bytes, 0);
    if (!found.value) {
      found.position = last;
      found.value = load(batch->offsets, (int)batch->offsets_bytes, last);
      if (found.value == batch->num_values)
        continue;
    }
    report(launch->report, &found);
  }
}

void fake_forward(const struct trec_gpu_launch *launch, int64_t blocks, int id_bytes, int is_unpooled,
                  int shares_bags) {
  fake_cuda_state()->first_length = launch->bags[launch->spans[0].first_bag].length;
  check_ends(launch);
  for (int64_t block = 0; block < blocks; ++block) {
    const struct trec_gpu_span *span = find_span(launch, block);
    struct work work = {.launch = launch, .id_bytes = id_bytes, .shares_bags = shares_bags};
    work.place = span->first_bag + (block - span->first_block) / span->blocks_per_bag;
    work.bag = &launch->bags[work.place];
    work.batch = &launch->batches[work.bag->batch];
    work.dim = work.bag->kernel % 2 ? 2 : 4;
    run_block(&work, span, block, is_unpooled);
  }
}

static int64_t sum_of(const struct trec_gpu_scan *scan, int64_t begin, int64_t end) {
  int64_t sum = 0;
  for (int64_t i = begin; i < end && i < scan->count; ++i)
    sum += load(scan->lengths, (int)scan->lengths_bytes, i);
  return sum;
}

/* A block's offsets, and behind the last length what they all sum to. */
static void scan_block(const struct trec_gpu_scan *scan, int64_t block) {
  struct trec_gpu_report found = {.batch = scan->batch, .bag = -1, .sample = -1};
  const int64_t begin = block * scan->lengths_per_block, end = begin + scan->lengths_per_block;
  int64_t sum = 0;
  for (int64_t i = 0; i < block; ++i)
    sum += scan->sums[i];
  for (int64_t i = begin; i < end && i < scan->count; ++i) {
    found.kind = TREC_GPU_BAD_LENGTH;
    found.position = i;
    found.value = load(scan->lengths, (int)scan->lengths_bytes, i);
    if (found.value < 0)
      report(scan->report, &found);
    scan->offsets[i] = sum;
    sum += found.value;
  }
  if (end < scan->count)
    return;
  scan->offsets[scan->count] = sum;
  found.kind = TREC_GPU_BAD_SUM;
  found.position = scan->count;
  found.value = sum;
  if (sum != scan->num_values)
    report(scan->report, &found);
}

void fake_scan(const struct trec_gpu_scan *scan, int64_t blocks) {
  for (int64_t block = 0; block < blocks; ++block)
    if (scan->writes_sums)
      scan->sums[block] = sum_of(scan, block * scan->lengths_per_block, (block + 1) * scan->lengths_per_block);
    else
      scan_block(scan, block);
}
