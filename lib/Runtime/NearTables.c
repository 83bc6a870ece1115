/* See NearTables.h. What tells is not in the code but in the machine. With eight tables of 10,000 rows and one thread,
 * rows of 48 to 512 bytes, an Intel Xeon (Emerald Rapids, second level of 2 MiB) was up to 1.2 times faster without the
 * second fetch for tables of up to 5 MB, while an AMD EPYC (Zen 4, 1 MiB) was up to 1.4 times slower from 0.8 MB on.
 * With tables of a million rows, which only the Xeon was measured with, the second fetch gained 1.2 to 1.4 times.
 *
 * Short bags: with 26 tables, dims 32 and 128, one or two ids in a bag and 256 samples, rows fetched before their
 * kernel gained up to 1.9 times on the EPYC, 1.2 times in the mean, and lost up to 1.3 times on the Xeon. With 10 ids
 * in a bag the kernel does as well on the EPYC, and up to 1.15 times better where all tables are near.
 */
#include "NearTables.h"

#include <string.h>
#include <unistd.h>

static int is_intel(void) {
#if defined(__x86_64__)
  char vendor[12];
  unsigned largest, ebx, ecx, edx;
  __asm__("cpuid" : "=a"(largest), "=b"(ebx), "=c"(ecx), "=d"(edx) : "a"(0), "c"(0));
  memcpy(vendor, &ebx, 4);
  memcpy(vendor + 4, &edx, 4);
  memcpy(vendor + 8, &ecx, 4);
  return !memcmp(vendor, "GenuineIntel", sizeof vendor);
#else
  return 0;
#endif
}

int64_t trec_near_table_bytes(void) {
  const long reported = sysconf(_SC_LEVEL2_CACHE_SIZE);
  const int64_t second_level = reported > 0 ? reported : 1 << 20;
  return is_intel() ? second_level * 4 : second_level / 2;
}

int64_t trec_fetches_far(int64_t rows, int64_t row_bytes, int64_t near_bytes) {
  int64_t bytes;
  return __builtin_mul_overflow(rows, row_bytes, &bytes) || bytes > near_bytes;
}

int64_t trec_short_bag(void) { return is_intel() ? 0 : 8; }
