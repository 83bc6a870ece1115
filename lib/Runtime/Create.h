/* Creation of a model without the globals: the seam at which tests put in images and machines of their own. */
#ifndef TREC_RUNTIME_CREATE_H
#define TREC_RUNTIME_CREATE_H

#include "Machine.h"
#include "trec/Runtime/RuntimeABI.h"

/* As trec_runtime_create, for any image and for a machine with these features (bits as in CPUFeatures.def). */
int32_t trec_create_from_image(const struct trec_image *image, uint64_t features, const trec_create_options *options,
                               trec_model **model, trec_error *error);

/* What kernels are told of fetching, and of outputs, as suits this machine; creation does so with the one it runs on.
 */
void trec_prepare_fetches(trec_model *model, const struct trec_cpu *cpu);

#endif /* TREC_RUNTIME_CREATE_H */
