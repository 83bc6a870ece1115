/* What the machine says of fetching: which tables lie near enough that a row is fetched once, straight into the first
 * level of the cache, and for which bags rows are fetched before their kernel is called. */
#ifndef TREC_RUNTIME_NEARTABLES_H
#define TREC_RUNTIME_NEARTABLES_H

#include "Machine.h"
#include "trec/Runtime/KernelABI.h"

/* The bytes of a table up to which fetching its rows far ahead costs more than it gains, in a model whose tables have
 * so many bytes together. */
int64_t trec_near_table_bytes(const struct trec_cpu *cpu, int64_t model_bytes);

/* 0 for a table of so many rows that is near, in a model of so many bytes of tables. Else how many of its rows are best
 * fetched together: a power of two of at most 64. */
int64_t trec_fetches_far(const struct trec_cpu *cpu, const struct trec_table_desc *table, int64_t rows,
                         int64_t model_bytes);

/* Of a table of which trec_fetches_far said so, in a call that has outputs fetched: the first level takes few requests
 * at once, and kernels then ask for as many lines of the output as for rows of three. So longer rows go by way of the
 * second level, however near they are. */
int64_t trec_fetches_far_beside_outputs(int64_t fetches_far, int64_t row_bytes);

/* Of so many ids in the average bag the rows are best fetched before the kernel is called, where the ids of all bags
 * are few; 0: of none. */
int64_t trec_short_bag(const struct trec_cpu *cpu);

/* The same where they are many, so that the kernel is called block by block, for a table of which trec_fetches_far said
 * so. Rows of codes take their kernel longer than those of floats. */
int64_t trec_short_bag_of_many(const struct trec_cpu *cpu, const struct trec_table_desc *table, int64_t rows,
                               int64_t fetches_far);

#endif /* TREC_RUNTIME_NEARTABLES_H */
