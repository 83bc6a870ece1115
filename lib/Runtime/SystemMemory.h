/* What the system says of its memory. */
#ifndef TREC_RUNTIME_SYSTEM_MEMORY_H
#define TREC_RUNTIME_SYSTEM_MEMORY_H

#include <stdint.h>

/* Bytes that may be had without swapping, those of caches that would be given up included, and within the limits of the
 * process's control groups; INT64_MAX where nothing is known. */
int64_t trec_available_memory(void);

/* Whether memory that asks for huge pages can get some. */
int trec_has_huge_pages(void);

#endif /* TREC_RUNTIME_SYSTEM_MEMORY_H */
