/* Which of the instruction sets in trec/Runtime/CPUFeatures.def, or CPUFeaturesAArch64.def, the machine has, and which
 * kernels suit it. */
#ifndef TREC_RUNTIME_CPU_FEATURES_H
#define TREC_RUNTIME_CPU_FEATURES_H

#include "trec/Runtime/RuntimeABI.h"

/* Bit i: the machine, and its operating system, have entry i. */
uint64_t trec_cpu_features(void);

/* The N of the highest x86-64-vN that these features satisfy; on AArch64 1 for armv8-a, 2 for sve-256, 3 for sve-512.
 */
int trec_cpu_generation(uint64_t features);

/* LLVM's name of entry `bit`; NULL beyond the list. */
const char *trec_cpu_feature_name(int bit);

/* The first level of the image that the features satisfy; NULL and TREC_UNSUPPORTED_CPU in `error` where none does. */
const struct trec_level_desc *trec_choose_level(const struct trec_image *image, uint64_t features, trec_error *error);

#endif /* TREC_RUNTIME_CPU_FEATURES_H */
