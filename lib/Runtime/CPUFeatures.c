/* See CPUFeatures.h. Asks the machine itself: the compilers' __builtin_cpu_supports keeps its state in libgcc, which a
 * model does not link. */
#include "CPUFeatures.h"
#include "Error.h"

#include <stdio.h>

#if defined(__x86_64__)
#include <cpuid.h>

enum { EAX, EBX, ECX, EDX };
enum { NONE, AVX, AVX512 };

struct feature {
  const char *name;
  uint32_t leaf, subleaf;
  uint8_t reg, bit, state, level;
};

static const struct feature known[] = {
#define TREC_CPU_FEATURE(name, leaf, subleaf, reg, bit, state, level) {name, leaf, subleaf, reg, bit, state, level},
#include "trec/Runtime/CPUFeatures.def"
};

static const char *const generations[] = {"x86-64-v1", "x86-64-v2", "x86-64-v3", "x86-64-v4"};
#elif defined(__aarch64__)
#include <sys/auxv.h>

enum { HWCAP, HWCAP2, VECTOR_BITS, NUM_WORDS };

struct feature {
  const char *name;
  uint8_t word;
  uint16_t value;
  uint8_t level;
};

static const struct feature known[] = {
#define TREC_CPU_FEATURE(name, word, value, level) {name, word, value, level},
#include "trec/Runtime/CPUFeaturesAArch64.def"
};

static const char *const generations[] = {"armv8-a", "sve-256", "sve-512"};
#else
#error "it is not known how this architecture tells its features"
#endif

enum { NUM_KNOWN = sizeof known / sizeof known[0], NUM_GENERATIONS = sizeof generations / sizeof generations[0] };
_Static_assert(NUM_KNOWN <= 64, "features are bits of a uint64_t");

#if defined(__x86_64__)
/* The highest state in {NONE, AVX, AVX512} that the operating system saves on a task switch. */
static int saved_state(void) {
  const unsigned osxsave = 1u << 27, avx = 0x6, avx512 = 0xe6;
  unsigned eax, ebx, ecx, edx;
  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & osxsave))
    return NONE;
  __asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
  return (eax & avx512) == avx512 ? AVX512 : (eax & avx) == avx ? AVX : NONE;
}

uint64_t trec_cpu_features(void) {
  const int state = saved_state();
  unsigned registers[4] = {0, 0, 0, 0};
  uint64_t features = 0;
  for (int i = 0; i < NUM_KNOWN; ++i) {
    const struct feature *f = &known[i];
    if (i == 0 || f->leaf != f[-1].leaf || f->subleaf != f[-1].subleaf)
      if (!__get_cpuid_count(f->leaf, f->subleaf, &registers[EAX], &registers[EBX], &registers[ECX], &registers[EDX]))
        registers[EAX] = registers[EBX] = registers[ECX] = registers[EDX] = 0;
    if (f->state <= state && (registers[f->reg] >> f->bit & 1))
      features |= (uint64_t)1 << i;
  }
  return features;
}
#else
/* Of SVE's vectors, as they are for this thread; 0 without SVE. */
static unsigned long vector_bits(unsigned long hwcap) {
  uint64_t bytes = 0;
  if (hwcap & HWCAP_SVE)
    __asm__ volatile(".arch_extension sve\n\trdvl %0, #1" : "=r"(bytes));
  return bytes * 8;
}

uint64_t trec_cpu_features(void) {
  unsigned long words[NUM_WORDS] = {getauxval(AT_HWCAP), getauxval(AT_HWCAP2), 0};
  words[VECTOR_BITS] = vector_bits(words[HWCAP]);
  uint64_t features = 0;
  for (int i = 0; i < NUM_KNOWN; ++i) {
    const unsigned long word = words[known[i].word];
    if (known[i].word == VECTOR_BITS ? word >= known[i].value : word >> known[i].value & 1)
      features |= (uint64_t)1 << i;
  }
  return features;
}
#endif

int trec_cpu_generation(uint64_t features) {
  int generation = NUM_GENERATIONS;
  for (int i = 0; i < NUM_KNOWN; ++i)
    if (!(features >> i & 1) && known[i].level <= generation)
      generation = known[i].level - 1;
  return generation;
}

const char *trec_cpu_feature_name(int bit) { return bit >= 0 && bit < NUM_KNOWN ? known[bit].name : NULL; }

/* What an unlucky user needs to choose --cpu: what there is, what the machine is, and the first thing it lacks. */
static void fail_unsupported(const struct trec_image *image, uint64_t features, trec_error *error) {
  char levels[200] = "";
  size_t used = 0;
  for (int64_t i = 0; i < image->num_levels && used < sizeof levels; ++i)
    used += (size_t)snprintf(levels + used, sizeof levels - used, "%s%s", i ? ", " : "", image->levels[i].name);
  uint64_t missing = image->num_levels ? image->levels[image->num_levels - 1].features & ~features : 0;
  const char *name = missing ? trec_cpu_feature_name(__builtin_ctzll(missing)) : NULL;
  trec_fail(error, TREC_UNSUPPORTED_CPU, "model \"%s\" was compiled for %s; this machine is %s and lacks %s",
            trec_show(image->name).text, levels, generations[trec_cpu_generation(features) - 1],
            name ? name : "an unknown feature");
}

const struct trec_level_desc *trec_choose_level(const struct trec_image *image, uint64_t features, trec_error *error) {
  for (int64_t i = 0; i < image->num_levels; ++i)
    if (!(image->levels[i].features & ~features))
      return &image->levels[i];
  fail_unsupported(image, features, error);
  return NULL;
}
