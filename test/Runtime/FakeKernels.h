/* The kernels of the test images, for the stand-in of the driver. */
#ifndef TREC_TEST_RUNTIME_FAKE_KERNELS_H
#define TREC_TEST_RUNTIME_FAKE_KERNELS_H

#include "trec/Runtime/DeviceABI.h"

/* One launch of trec_forward_i32 or trec_forward_i64; ids have `id_bytes` bytes. */
void fake_forward(const struct trec_gpu_launch *launch, int64_t blocks, int id_bytes, int is_unpooled, int shares_bags);
void fake_scan(const struct trec_gpu_scan *scan, int64_t blocks);

#endif /* TREC_TEST_RUNTIME_FAKE_KERNELS_H */
