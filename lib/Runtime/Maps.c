/* What must be right in a map from ids to rows before kernels see it.
 *
 * Kernels hold each row against the table again, and count the slots of a search, for the caller may change a map of
 * its own later: what is refused here is what would give wrong rows quietly.
 */
#include "Error.h"
#include "Model.h"

#include <inttypes.h>
#include <stdio.h>

/* One map, and what messages say of it. */
struct map {
  const struct trec_parameter_desc *desc;
  const void *elements;
  int64_t count;
  const char *name, *origin;
};

static int64_t element(const struct map *map, int64_t i) {
  return map->desc->type == TREC_INT32 ? ((const int32_t *)map->elements)[i] : ((const int64_t *)map->elements)[i];
}

static int64_t entry_id(const struct map *map, int64_t entry) {
  return map->desc->map == TREC_MAP_ARRAY ? entry : element(map, 2 * entry);
}

static int64_t entry_row(const struct map *map, int64_t entry) {
  return map->desc->map == TREC_MAP_ARRAY ? element(map, entry) : element(map, 2 * entry + 1);
}

static int is_empty_slot(const struct map *map, int64_t entry) {
  return map->desc->map == TREC_MAP_HASH_TABLE && entry_id(map, entry) == -1;
}

/* Where the search for an id ends, in a table that has an empty slot. */
static int64_t search(const struct map *map, int64_t id) {
  int64_t slot = trec_hash_id((uint32_t)id) % map->count;
  while (entry_id(map, slot) != id && !is_empty_slot(map, slot))
    slot = slot + 1 < map->count ? slot + 1 : 0;
  return slot;
}

static int32_t check_slots(const struct map *map, trec_error *error) {
  int64_t empty = 0;
  for (int64_t slot = 0; slot < map->count; ++slot)
    empty += is_empty_slot(map, slot);
  if (map->count && !empty)
    return trec_fail(error, TREC_WEIGHTS_MISMATCH,
                     "%s: parameter \"%s\" has no empty slot among its %" PRId64 ": a search for an id that it lacks "
                     "would not end",
                     map->origin, trec_show(map->name).text, map->count);
  for (int64_t slot = 0; slot < map->count; ++slot) {
    const int64_t id = entry_id(map, slot);
    if (is_empty_slot(map, slot))
      continue;
    error->value = id;
    error->limit = map->desc->ids;
    if (id < 0 || id >= map->desc->ids)
      return trec_fail(error, TREC_WEIGHTS_MISMATCH,
                       "%s: parameter \"%s\" has id %" PRId64 " in slot %" PRId64 ", expected -1 or one of %" PRId64
                       " ids",
                       map->origin, trec_show(map->name).text, id, slot, map->desc->ids);
    const int64_t found = search(map, id);
    if (found != slot)
      return trec_fail(error, TREC_WEIGHTS_MISMATCH,
                       "%s: parameter \"%s\" has id %" PRId64 " in slot %" PRId64
                       ", but its search ends at slot %" PRId64
                       ": the table was filled by another hash, or has the id twice",
                       map->origin, trec_show(map->name).text, id, slot, found);
  }
  return TREC_OK;
}

static int32_t check_order(const struct map *map, trec_error *error) {
  for (int64_t entry = 1; entry < map->count; ++entry) {
    const int64_t before = entry_id(map, entry - 1), id = entry_id(map, entry);
    if (id >= before)
      continue;
    error->value = id;
    return trec_fail(error, TREC_WEIGHTS_MISMATCH,
                     "%s: parameter \"%s\" has id %" PRId64 " in entry %" PRId64 " after id %" PRId64
                     ", expected ids in rising order",
                     map->origin, trec_show(map->name).text, id, entry, before);
  }
  return TREC_OK;
}

static int32_t bad_row(const struct map *map, const char *id, const char *table, trec_error *error) {
  return trec_fail(error, TREC_WEIGHTS_MISMATCH,
                   "%s: parameter \"%s\" maps %s to row %" PRId64 ", but table \"%s\" has %" PRId64 " rows",
                   map->origin, trec_show(map->name).text, id, error->value, trec_show(table).text, error->limit);
}

/* The rows of one of the tables that are looked up through the map. */
static int32_t check_rows(const struct map *map, const trec_model *model, int64_t table, trec_error *error) {
  const char *name = trec_table_name(model->image, table);
  const int64_t rows = model->tables[table].num_rows;
  error->table = table;
  error->limit = rows;
  for (int64_t entry = 0; entry < map->count; ++entry) {
    error->value = entry_row(map, entry);
    if (is_empty_slot(map, entry) || (error->value >= -1 && error->value < rows))
      continue;
    char id[32];
    snprintf(id, sizeof id, "id %" PRId64, entry_id(map, entry));
    return bad_row(map, id, name, error);
  }
  error->value = map->count - 1;
  if (map->desc->map == TREC_MAP_SORTED && error->value >= rows)
    return bad_row(map, "other ids", name, error);
  return TREC_OK;
}

int32_t trec_check_map(const trec_model *model, int64_t parameter, const char *origin, trec_error *error) {
  const struct trec_image *image = model->image;
  const struct trec_parameter *bound = &model->parameters[parameter];
  const struct map map = {&image->parameters[parameter], bound->data, bound->count,
                          trec_parameter_name(image, parameter), origin};
  int32_t status = TREC_OK;
  if (map.desc->map == TREC_MAP_HASH_TABLE)
    status = check_slots(&map, error);
  if (map.desc->map == TREC_MAP_SORTED)
    status = check_order(&map, error);
  for (int64_t b = 0; b < image->num_bags && status == TREC_OK; ++b)
    if (image->bags[b].remap == parameter + 1)
      status = check_rows(&map, model, image->bags[b].table, error);
  if (status == TREC_OK)
    trec_error_reset(error);
  return status;
}
