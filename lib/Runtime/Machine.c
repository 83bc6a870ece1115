/* See Machine.h. */
#include "Machine.h"

#include <string.h>
#include <unistd.h>

static enum trec_cpu_maker find_maker(void) {
#if defined(__x86_64__)
  char name[12];
  unsigned largest, ebx, ecx, edx;
  __asm__("cpuid" : "=a"(largest), "=b"(ebx), "=c"(ecx), "=d"(edx) : "a"(0), "c"(0));
  memcpy(name, &ebx, 4);
  memcpy(name + 4, &edx, 4);
  memcpy(name + 8, &ecx, 4);
  if (!memcmp(name, "AuthenticAMD", sizeof name))
    return TREC_CPU_AMD;
  if (!memcmp(name, "GenuineIntel", sizeof name))
    return TREC_CPU_INTEL;
#endif
  return TREC_CPU_OTHER;
}

struct trec_cpu trec_find_cpu(void) {
  const long second = sysconf(_SC_LEVEL2_CACHE_SIZE), third = sysconf(_SC_LEVEL3_CACHE_SIZE);
  return (struct trec_cpu){find_maker(), second > 0 ? second : 1 << 20, third > 0 ? third : 0};
}
