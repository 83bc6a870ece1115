/* See CPUFeatures.h. Asks CPUID itself: the compilers' __builtin_cpu_supports keeps its state in libgcc, which a model
 * does not link. */
#include "CPUFeatures.h"
#include "Error.h"

#include <stdio.h>

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

enum { NUM_KNOWN = sizeof known / sizeof known[0] };
_Static_assert(NUM_KNOWN <= 64, "features are bits of a uint64_t");

#if defined(__x86_64__)
#include <cpuid.h>

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
uint64_t trec_cpu_features(void) { return 0; }
#endif

int trec_cpu_generation(uint64_t features) {
  int generation = 4;
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
  trec_fail(error, TREC_UNSUPPORTED_CPU, "model \"%s\" was compiled for %s; this machine is x86-64-v%d and lacks %s",
            trec_show(image->name).text, levels, trec_cpu_generation(features), name ? name : "an unknown feature");
}

const struct trec_level_desc *trec_choose_level(const struct trec_image *image, uint64_t features, trec_error *error) {
  for (int64_t i = 0; i < image->num_levels; ++i)
    if (!(image->levels[i].features & ~features))
      return &image->levels[i];
  fail_unsupported(image, features, error);
  return NULL;
}
