/* What of a schedule only the machine knows. Decisions take it as an argument, so that those for any machine can be
 * tested on each. */
#ifndef TREC_RUNTIME_MACHINE_H
#define TREC_RUNTIME_MACHINE_H

#include <stdint.h>

enum trec_cpu_maker { TREC_CPU_OTHER, TREC_CPU_AMD, TREC_CPU_INTEL };

struct trec_cpu {
  enum trec_cpu_maker maker;
  int64_t second_level; /* of the cache, in bytes; a megabyte where the system does not say */
  int64_t third_level;  /* 0 where it does not say, or there is none */
};

/* This machine's, whose hypervisor may take long to say so. */
struct trec_cpu trec_find_cpu(void);

#endif /* TREC_RUNTIME_MACHINE_H */
