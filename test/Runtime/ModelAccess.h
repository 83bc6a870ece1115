/* What tests set inside of a model: what else the machine would decide. */
#ifndef TREC_TEST_RUNTIME_MODELACCESS_H
#define TREC_TEST_RUNTIME_MODELACCESS_H

#include "trec/Runtime/RuntimeABI.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Rows of bags of up to so many ids are fetched before their kernel is called. */
void trectest_set_short_bag(trec_model *model, int64_t ids);

#ifdef __cplusplus
}
#endif

#endif /* TREC_TEST_RUNTIME_MODELACCESS_H */
