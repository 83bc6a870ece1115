//===- GatherLimit.c - How fast the machine can touch rows ----------------===//
//
// The limit that a lookup is compared with: the same ids in the same order and
// prefetches of the same rows, but of each row only four bytes per cache line
// are read and nothing is computed. What a kernel needs beyond this time is its
// own.
//
//===----------------------------------------------------------------------===//

#include <stdint.h>
#include <string.h>

/// The ids of one feature in one batch, and the table that they look up.
struct trec_gather_run {
  const char *rows;
  int64_t row_bytes;
  const void *ids;
  int64_t num_ids;
};

/// How many ids ahead rows are prefetched, and into which cache: 1 or 2.
struct trec_gather_options {
  int32_t ids_are_64_bits;
  int32_t distance;
  int32_t cache;
};

enum { line_bytes = 64 };

/// A part of the stream of ids: some of one run.
struct stretch {
  const struct trec_gather_run *run;
  int64_t begin;
};

/// A place in the stream of ids of all runs. `run` is `end` behind the last.
struct cursor {
  const struct trec_gather_run *run;
  const struct trec_gather_run *end;
  int64_t id;
};

#define ALWAYS_INLINE static inline __attribute__((always_inline))

static int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }

/// Loads that reach every line of a row wherever it starts: one at each
/// multiple of a line from its start, and one at its end where rows that are
/// neither multiples nor parts of a line may straddle one more.
static int64_t count_loads(int64_t row_bytes) {
  if (row_bytes < line_bytes)
    return line_bytes % row_bytes == 0 ? 1 : 2;
  return row_bytes / line_bytes + (row_bytes % line_bytes == 0 ? 0 : 2);
}

ALWAYS_INLINE const char *get_row(struct stretch at, int64_t i, int32_t wide) {
  const void *ids = at.run->ids;
  int64_t id = wide ? ((const int64_t *)ids)[at.begin + i] : ((const int32_t *)ids)[at.begin + i];
  return at.run->rows + id * at.run->row_bytes;
}

ALWAYS_INLINE int64_t get_offset(int64_t row_bytes, int64_t load) {
  return min(load * line_bytes, row_bytes - (int64_t)sizeof(uint32_t));
}

ALWAYS_INLINE uint32_t touch_row(const char *row, int64_t row_bytes, int64_t num_loads) {
  uint32_t sum = 0;
  for (int64_t i = 0; i < num_loads; ++i) {
    uint32_t loaded;
    memcpy(&loaded, row + get_offset(row_bytes, i), sizeof loaded);
    sum ^= loaded;
  }
  return sum;
}

ALWAYS_INLINE void prefetch_row(const char *row, int64_t row_bytes, int64_t num_loads, int32_t cache) {
  for (int64_t i = 0; i < num_loads; ++i) {
    const char *line = row + get_offset(row_bytes, i);
    if (cache == 1)
      __builtin_prefetch(line, 0, 3);
    else
      __builtin_prefetch(line, 0, 2);
  }
}

/// Touches `count` rows from `at` on, and prefetches as many from `ahead` on,
/// whose tables have rows of the same size. With a constant number of loads the
/// compiler leaves no loop within a row.
ALWAYS_INLINE uint32_t touch_alike(struct stretch at, struct stretch ahead, int64_t count, int64_t num_loads,
                                   struct trec_gather_options options) {
  uint32_t sum = 0;
  int64_t row_bytes = at.run->row_bytes;
  for (int64_t i = 0; i < count; ++i) {
    prefetch_row(get_row(ahead, i, options.ids_are_64_bits), row_bytes, num_loads, options.cache);
    sum ^= touch_row(get_row(at, i, options.ids_are_64_bits), row_bytes, num_loads);
  }
  return sum;
}

/// As touch_alike, of rows of different sizes.
static uint32_t touch_unlike(struct stretch at, struct stretch ahead, int64_t count,
                             struct trec_gather_options options) {
  uint32_t sum = 0;
  int64_t at_bytes = at.run->row_bytes, ahead_bytes = ahead.run->row_bytes;
  int64_t at_loads = count_loads(at_bytes);
  int64_t ahead_loads = count_loads(ahead_bytes);
  for (int64_t i = 0; i < count; ++i) {
    prefetch_row(get_row(ahead, i, options.ids_are_64_bits), ahead_bytes, ahead_loads, options.cache);
    sum ^= touch_row(get_row(at, i, options.ids_are_64_bits), at_bytes, at_loads);
  }
  return sum;
}

static uint32_t touch(struct stretch at, struct stretch ahead, int64_t count, struct trec_gather_options options) {
  int64_t num_loads = count_loads(at.run->row_bytes);
  if (ahead.run->row_bytes != at.run->row_bytes)
    return touch_unlike(at, ahead, count, options);
  switch (num_loads) {
  case 1:
    return touch_alike(at, ahead, count, 1, options);
  case 2:
    return touch_alike(at, ahead, count, 2, options);
  case 3:
    return touch_alike(at, ahead, count, 3, options);
  case 4:
    return touch_alike(at, ahead, count, 4, options);
  case 5:
    return touch_alike(at, ahead, count, 5, options);
  case 6:
    return touch_alike(at, ahead, count, 6, options);
  default:
    return touch_alike(at, ahead, count, num_loads, options);
  }
}

/// Ids that are left in the run of a cursor, which is moved past empty runs.
static int64_t settle(struct cursor *cursor) {
  while (cursor->run != cursor->end && cursor->id == cursor->run->num_ids) {
    ++cursor->run;
    cursor->id = 0;
  }
  return cursor->run == cursor->end ? 0 : cursor->run->num_ids - cursor->id;
}

static struct stretch get_stretch(const struct cursor *cursor) { return (struct stretch){cursor->run, cursor->id}; }

/// Prefetches the rows that the main loop comes too late for.
static void prefetch_first(struct cursor *ahead, struct trec_gather_options options) {
  for (int64_t i = 0; i < options.distance && settle(ahead) > 0; ++i) {
    int64_t row_bytes = ahead->run->row_bytes;
    prefetch_row(get_row(get_stretch(ahead), 0, options.ids_are_64_bits), row_bytes, count_loads(row_bytes),
                 options.cache);
    ++ahead->id;
  }
}

/// Touches the rows of all runs in order. The result keeps the loads alive.
uint32_t trec_gather(const struct trec_gather_run *runs, int64_t num_runs, const struct trec_gather_options *options) {
  struct cursor at = {runs, runs + num_runs, 0}, ahead = at;
  uint32_t sum = 0;
  prefetch_first(&ahead, *options);
  for (int64_t left; (left = settle(&at)) > 0;) {
    int64_t count = settle(&ahead);
    if (count == 0) {
      // All is prefetched: what is left is touched alone.
      for (int64_t i = 0; i < left; ++i)
        sum ^= touch_row(get_row(get_stretch(&at), i, options->ids_are_64_bits), at.run->row_bytes,
                         count_loads(at.run->row_bytes));
      at.id += left;
      continue;
    }
    count = min(count, left);
    sum ^= touch(get_stretch(&at), get_stretch(&ahead), count, *options);
    at.id += count;
    ahead.id += count;
  }
  return sum;
}
