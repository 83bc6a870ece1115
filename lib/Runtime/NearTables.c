/* See NearTables.h. What tells is not in the code but in the machine: an Intel Xeon (Emerald Rapids, second level of 2
 * MiB) and an AMD EPYC (Zen 4, 1 MiB), with one thread.
 *
 * Near tables, 20 ids in a bag. On the Xeon two fetches were for rows of 48 bytes 0.92 to 1.00 times as fast as one
 * with tables of up to 38 MB together and 1.04 to 1.14 times with 77 and 154, for 80 bytes 0.97 to 1.07 times with up
 * to 32 MB and 1.13 to 1.37 times from 51 on, for 256 bytes 0.89 times with up to 41 MB and 1.01 to 1.17 times from 82
 * on, each with 8 or 32 tables of 0.5 to 8 MB. With tables of a million rows it gained 1.2 to 1.4 times. The EPYC with
 * eight tables of 10,000 rows of 48 to 512 bytes was up to 1.4 times faster by it from 0.8 MB a table on, and with 26
 * tables of 0.5 MB, rows of 48 bytes and 5 or 20 ids 1.06 to 1.5 times; with eight of these it gained nothing.
 *
 * Groups: eight tables of a million rows, 20 ids in a bag. On the Xeon rows of 144 to 256 bytes were 0.98 to 1.12 times
 * as fast one by one as in groups of four (42 cases: uniform, Zipf and jagged ids, both pages, 16 to 1,024 samples),
 * and in groups of 16 slower than one by one in most, though up to 1.2 times faster with 144 bytes and small pages.
 * Rows of 272 and 512 bytes took 1.08 to 1.27 times as long one by one or by four as in groups of 16 with uniform ids,
 * and one by one 0.96 to 1.3 times with Zipf ids. On the EPYC groups of 32 took 0.84 of the time of four with 144 bytes
 * and 0.68 with 272, and groups of 64 took 0.89 to 0.99 of the time of 32, of rows of 144 to 512 bytes, 0.95 to 1.04
 * with 16 samples; groups of 128 are 0.98 to 1.05 times as fast as those with 64 samples and more, 0.92 to 1.02 with
 * 16. Of its smaller tables rows of 144 to 272 bytes are 0.99 to 1.2 times as fast one by one as in groups of 16, those
 * of 384 and 512 bytes 0.80 to 1.05 times with 20 ids in a bag and 1.00 to 1.03 with 5. Of eight of its tables of 10
 * and 12 MB those of codes, rows of 144 and 272 bytes, are 0.93 to 1.67 times as fast one by one as in groups of 64, of
 * 20 and 24 MB 0.85 to 1.43 times, less while others use the memory, of 28 and 40 MB 0.75 to 1.37 times, and of 26
 * tables of 14 MB 0.84 to 1.14 times; those of floats with rows of 208 to 384 bytes 0.68 to 0.86 times. Rows of one
 * line and two in groups took 0.7 to 1.3 times as long on the EPYC, and 1.04 to 1.2 times on the Xeon.
 *
 * Short bags: with 26 tables, dims 32 and 128, one or two ids in a bag and 256 samples, rows fetched before their
 * kernel gained up to 1.9 times on the EPYC, 1.2 times in the mean, and lost up to 1.3 times on the Xeon. With 10 ids
 * in a bag the kernel does as well on the EPYC, and up to 1.15 times better where all tables are near. With 3 to 8 ids
 * of near tables it depends on their number: rows of 32 to 80 bytes gained 1.0 to 1.5 times with up to 512 ids of a
 * feature, and lost 1.05 to 1.2 times with 768 to 2,048. With tables of a million rows those of 32 bytes lost 1.16
 * times then, and those of 80 gained as much. With 256 samples blocks of rows of 80 to 144 bytes were 0.89 to 0.97
 * times as fast as none with 10,000 rows and 3 ids in a bag, 0.81 to 0.89 times with 5 and 0.78 to 0.83 times with 8;
 * with 100,000 rows, which are 8 to 14 MB, 0.93 to 1.15, 0.85 to 1.06 and 0.73 to 0.99 times; with a million of codes
 * 1.04 to 1.46, 1.01 to 1.30 and 1.02 to 1.37 times, of floats 1.01, 0.96 and 0.94 times. Of 256 bytes they were 1.03
 * to 1.2 times as fast with 10,000 rows, 0.92 to 1.00 times with 100,000 and 1.00 to 1.03 with a million.
 */
#include "NearTables.h"

/* In second levels: the tables of a model that Intel's last level keeps near, and one of them. */
enum { NEAR_MODEL = 24, NEAR_TABLE = 4 };

int64_t trec_near_table_bytes(const struct trec_cpu *cpu, int64_t model_bytes) {
  const int keeps_model = cpu->maker == TREC_CPU_INTEL && model_bytes <= cpu->second_level * NEAR_MODEL;
  return keeps_model ? cpu->second_level * NEAR_TABLE : cpu->second_level / 4;
}

static int64_t bytes_of(const struct trec_table_desc *table, int64_t rows) {
  int64_t bytes;
  return __builtin_mul_overflow(rows, table->row_bytes, &bytes) ? INT64_MAX : bytes;
}

static int has_codes(const struct trec_table_desc *table) {
  return table->weights_type == TREC_WEIGHTS_INT8 || table->weights_type == TREC_WEIGHTS_INT4 ||
         table->weights_type == TREC_WEIGHTS_INT2;
}

/* Rows that are fetched together: of more bytes than this, and by AMD's CPUs of large tables of more than two lines. */
enum { LONG_ROW = 256, LONG_ROW_OF_AMD = 320, GROUP = 16, TWO_LINES = 128, GROUP_OF_AMD = 64 };

/* Codes come one by one from larger tables, while those of all of a model are no more than this. */
enum { LARGE_TABLE = 8 << 20, LARGE_TABLE_OF_CODES = 12 << 20, LARGE_MODEL_OF_CODES = 96 << 20 };

static int64_t fetches_far_on_amd(const struct trec_table_desc *table, int64_t bytes, int64_t model_bytes) {
  const int is_long = table->row_bytes > LONG_ROW_OF_AMD;
  const int come_alone = has_codes(table) && !is_long && model_bytes <= LARGE_MODEL_OF_CODES;
  if (table->row_bytes > TWO_LINES && bytes > (come_alone ? LARGE_TABLE_OF_CODES : LARGE_TABLE))
    return GROUP_OF_AMD;
  return is_long ? GROUP : 1;
}

int64_t trec_fetches_far(const struct trec_cpu *cpu, const struct trec_table_desc *table, int64_t rows,
                         int64_t model_bytes) {
  const int64_t bytes = bytes_of(table, rows);
  if (bytes <= trec_near_table_bytes(cpu, model_bytes))
    return 0;
  if (cpu->maker == TREC_CPU_AMD)
    return fetches_far_on_amd(table, bytes, model_bytes);
  return table->row_bytes > LONG_ROW ? GROUP : 1;
}

/* On the Xeon 26 tables of 10,000 rows of 144 and 256 bytes took 0.91 to 0.98 of the time with one id or two in a bag.
 * That was in groups of four; rows of one line would lose. */
int64_t trec_fetches_far_beside_outputs(int64_t fetches_far, int64_t row_bytes) {
  return !fetches_far && row_bytes > TWO_LINES ? 1 : fetches_far;
}

/* What the cores of AMD's CPUs that share a third level have of it; the system tells the sum of all third levels. */
enum { THIRD_LEVEL = 32 << 20 };

enum { SHORT_BAG = 8, SHORTER_BAG = 3, ONE_LINE = 64, THREE_LINES = 192 };

int64_t trec_short_bag(const struct trec_cpu *cpu) { return cpu->maker == TREC_CPU_AMD ? SHORT_BAG : 0; }

int64_t trec_short_bag_of_many(const struct trec_cpu *cpu, const struct trec_table_desc *table, int64_t rows,
                               int64_t fetches_far) {
  if (cpu->maker != TREC_CPU_AMD || table->row_bytes <= ONE_LINE || !fetches_far)
    return 0;
  return (has_codes(table) && bytes_of(table, rows) > THIRD_LEVEL) || table->row_bytes > THREE_LINES ? SHORT_BAG
                                                                                                     : SHORTER_BAG;
}
