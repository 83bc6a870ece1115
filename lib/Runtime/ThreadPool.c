/* See ThreadPool.h. */
#include "ThreadPool.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

/* More threads than any machine makes use of for one batch. */
enum { MAX_WORKERS = 255 };

struct trec_pool {
  struct trec_pool *inherited; /* the parent process's, freed with this one */
  pid_t owner;
  atomic_flag taken;
  pthread_mutex_t mutex; /* guards what follows, but for `next` */
  pthread_cond_t work, done;
  trec_pool_body body; /* NULL: no job that may be joined */
  void *context;
  int64_t count;
  uint64_t job; /* so that a worker joins each job once */
  unsigned float_control;
  int active; /* workers on the job */
  int stop;
  int started, wanted;
  _Atomic int64_t next;
  pthread_t workers[MAX_WORKERS];
};

/* A worker rounds as the caller does: else results would depend on which thread computed them. */
static unsigned get_float_control(void) {
#if defined(__x86_64__)
  return _mm_getcsr();
#elif defined(__aarch64__)
  uint64_t control;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  return (unsigned)control;
#else
#error "it is not known how this architecture is told to round"
#endif
}
static void set_float_control(unsigned control) {
#if defined(__x86_64__)
  _mm_setcsr(control);
#else
  __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)control));
#endif
}

static void drain(struct trec_pool *pool, trec_pool_body body, void *context, int64_t count) {
  int64_t i;
  while ((i = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed)) < count)
    body(context, i);
}

static void *work(void *argument) {
  struct trec_pool *pool = argument;
  uint64_t joined = 0;
  pthread_mutex_lock(&pool->mutex);
  for (;;) {
    while (!pool->stop && (!pool->body || pool->job == joined))
      pthread_cond_wait(&pool->work, &pool->mutex);
    if (pool->stop)
      break;
    joined = pool->job;
    ++pool->active;
    const trec_pool_body body = pool->body;
    void *const context = pool->context;
    const int64_t count = pool->count;
    set_float_control(pool->float_control);
    pthread_mutex_unlock(&pool->mutex);
    drain(pool, body, context, count);
    pthread_mutex_lock(&pool->mutex);
    if (--pool->active == 0)
      pthread_cond_signal(&pool->done);
  }
  pthread_mutex_unlock(&pool->mutex);
  return NULL;
}

/* Workers take no signals: the program's handlers are not to run on threads that it knows nothing of. */
static void start_workers(struct trec_pool *pool) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  while (pool->started < pool->wanted && !pthread_create(&pool->workers[pool->started], NULL, work, pool))
    ++pool->started;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pool->wanted = pool->started;
}

static struct trec_pool *make_pool(struct trec_pool *inherited, int32_t threads) {
  struct trec_pool *pool = calloc(1, sizeof *pool);
  if (!pool)
    return NULL;
  pool->inherited = inherited;
  pool->owner = getpid();
  pool->wanted = threads - 1 < MAX_WORKERS ? threads - 1 : MAX_WORKERS;
  atomic_flag_clear(&pool->taken);
  pthread_mutex_init(&pool->mutex, NULL);
  pthread_cond_init(&pool->work, NULL);
  pthread_cond_init(&pool->done, NULL);
  return pool;
}

/* This process's pool. The threads of a child process may race to replace an inherited one; one of them wins. */
static struct trec_pool *own_pool(trec_pool_slot *slot, int32_t threads) {
  struct trec_pool *found = atomic_load(slot);
  if (found && found->owner == getpid())
    return found;
  struct trec_pool *made = make_pool(found, threads);
  if (!made)
    return NULL;
  if (atomic_compare_exchange_strong(slot, &found, made))
    return made;
  free(made);
  return found;
}

static void post(struct trec_pool *pool, int64_t count, trec_pool_body body, void *context) {
  pthread_mutex_lock(&pool->mutex);
  pool->body = body;
  pool->context = context;
  pool->count = count;
  pool->float_control = get_float_control();
  ++pool->job;
  atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
  pthread_cond_broadcast(&pool->work);
  pthread_mutex_unlock(&pool->mutex);
}

/* Waits for workers that have joined; those that have not woken yet find no job and are not waited for. */
static void finish(struct trec_pool *pool) {
  pthread_mutex_lock(&pool->mutex);
  pool->body = NULL;
  while (pool->active)
    pthread_cond_wait(&pool->done, &pool->mutex);
  pthread_mutex_unlock(&pool->mutex);
}

int trec_pool_run(trec_pool_slot *slot, int32_t threads, int64_t count, trec_pool_body body, void *context) {
  struct trec_pool *pool = own_pool(slot, threads);
  if (!pool || atomic_flag_test_and_set_explicit(&pool->taken, memory_order_acquire))
    return 0;
  if (pool->started < pool->wanted)
    start_workers(pool);
  if (pool->started) {
    post(pool, count, body, context);
    drain(pool, body, context, count);
    finish(pool);
  }
  const int done = pool->started > 0;
  atomic_flag_clear_explicit(&pool->taken, memory_order_release);
  return done;
}

static void end_workers(struct trec_pool *pool) {
  pthread_mutex_lock(&pool->mutex);
  pool->stop = 1;
  pthread_cond_broadcast(&pool->work);
  pthread_mutex_unlock(&pool->mutex);
  for (int i = 0; i < pool->started; ++i)
    pthread_join(pool->workers[i], NULL);
  pthread_mutex_destroy(&pool->mutex);
  pthread_cond_destroy(&pool->work);
  pthread_cond_destroy(&pool->done);
}

void trec_pool_destroy(trec_pool_slot *slot) {
  struct trec_pool *pool = atomic_exchange(slot, NULL);
  if (pool && pool->owner == getpid())
    end_workers(pool);
  while (pool) {
    struct trec_pool *inherited = pool->inherited;
    free(pool);
    pool = inherited;
  }
}
