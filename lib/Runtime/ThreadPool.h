/* The threads of a model that was given no executor of the caller's.
 *
 * Started by the first forward that wants them, so that a model costs no threads until then. One forward has the whole
 * pool at a time: another that finds it taken runs on its own thread, which keeps many servers' threads from becoming
 * many times as many. A child of fork() has none of its parent's threads and starts a pool of its own.
 */
#ifndef TREC_RUNTIME_THREAD_POOL_H
#define TREC_RUNTIME_THREAD_POOL_H

#include <stdatomic.h>
#include <stdint.h>

struct trec_pool;
typedef _Atomic(struct trec_pool *) trec_pool_slot;
typedef void (*trec_pool_body)(void *context, int64_t i);

/* Calls body(context, i) for each i in 0..count on at most `threads` threads, the caller's among them, with the
 * caller's floating-point control state. 0, with nothing done, where the pool is taken or cannot be had. */
int trec_pool_run(trec_pool_slot *slot, int32_t threads, int64_t count, trec_pool_body body, void *context);

/* Ends the threads; a pool that a parent process started is only forgotten. */
void trec_pool_destroy(trec_pool_slot *slot);

#endif /* TREC_RUNTIME_THREAD_POOL_H */
