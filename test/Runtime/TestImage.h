/* A small model written by hand, in place of what the compiler emits.
 *
 *   bag  feature  table                      columns
 *   0    f1       t1: 10 rows of 4 floats    0 to 3
 *   1    f2       t2: 20 rows of 2 floats    4 to 5
 *   2    f3       t1                         6 to 9
 *   3    f1       t2                         10 to 11
 *
 * Its kernels are scalar and sum float32 rows, by weights where there are any. Tests copy trec_image and change the
 * copy for models of other shapes; the kernels stay.
 */
#ifndef TREC_TEST_RUNTIME_TEST_IMAGE_H
#define TREC_TEST_RUNTIME_TEST_IMAGE_H

#include "trec/Runtime/RuntimeABI.h"

enum { T1_ROWS = 10, T1_DIM = 4, T2_ROWS = 20, T2_DIM = 2, NUM_FEATURES = 3, NUM_BAGS = 4, TOTAL_DIM = 12 };

#ifdef __cplusplus
extern "C"
#endif
    const trec_api *test_model_query(uint32_t abi_version, trec_error *error);

#endif /* TREC_TEST_RUNTIME_TEST_IMAGE_H */
