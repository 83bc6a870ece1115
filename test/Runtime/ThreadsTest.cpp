// Forward on several threads: the same bits, the same reports, whoever runs the pieces; and the pool's own life.
#include "Support.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <dirent.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#ifdef __x86_64__
#include <xmmintrin.h>
#endif

using namespace trectest;

// ThreadSanitizer has threads of its own and does not follow a forked child's.
#if defined(__SANITIZE_THREAD__)
#define SKIP_UNDER_TSAN() GTEST_SKIP() << "not under ThreadSanitizer"
#else
#define SKIP_UNDER_TSAN()
#endif

namespace {

trec_create_options withThreads(int32_t threads) {
  trec_create_options options = {};
  options.threads = threads;
  return options;
}

int threadsOfProcess() {
  int count = 0;
  DIR *tasks = opendir("/proc/self/task");
  while (dirent *entry = readdir(tasks))
    count += entry->d_name[0] != '.';
  closedir(tasks);
  return count;
}

/// Enough work to be shared among threads.
struct BigBatch {
  explicit BigBatch(int64_t batchSize = 700, int longest = 9)
      : ids(randomIds(3, batchSize, longest)), batch(ids), result(expected(ids)) {}
  int32_t forward(trec_model *model, Error *error = nullptr) {
    trec_forward_args args = batch.args();
    return trec_runtime_forward(model, &args, error);
  }
  Ids ids;
  Batch batch;
  std::vector<float> result;
};

/// An executor that counts what it ran, last piece first.
struct Executor {
  int64_t calls = 0, pieces = 0;
  static void run(void *user, int64_t count, void (*body)(void *, int64_t), void *context) {
    auto *self = static_cast<Executor *>(user);
    ++self->calls;
    self->pieces = count;
    for (int64_t i = count; i-- > 0;)
      body(context, i);
  }
  trec_create_options options(int32_t threads) {
    trec_create_options options = withThreads(threads);
    options.parallel_for = run;
    options.parallel_for_user = this;
    return options;
  }
};

} // namespace

TEST(Threads, SameResultAtAnyNumber) {
  for (int32_t threads : {0, 1, 2, 3, 7, 1000})
    for (int64_t batchSize : {1, 2, 63, 700}) {
      BigBatch big(batchSize);
      Model model(withThreads(threads));
      ASSERT_EQ(big.forward(model), TREC_OK);
      ASSERT_EQ(big.batch.output, big.result) << threads << " threads, batch of " << batchSize;
    }
}

TEST(Threads, SharedAmongSamplesAndFeatures) {
  BigBatch big;
  for (auto [threads, most] : {std::pair(2, 8), {3, 12}, {1000, 256}}) {
    Executor executor;
    Model model(executor.options(threads));
    ASSERT_EQ(big.forward(model), TREC_OK);
    EXPECT_EQ(big.batch.output, big.result);
    EXPECT_EQ(executor.calls, 1);
    EXPECT_GT(executor.pieces, 1);
    EXPECT_LE(executor.pieces, most);
  }
}

// One long feature among short ones: cuts go by work, so most fall inside it and leave it in even parts.
TEST(Threads, LongFeatureIsShared) {
  static int64_t longest;
  static const trec_kernel watch = [](const trec_bag_args *args, int64_t begin, int64_t end) {
    if (args->offsets[1] - args->offsets[0] == 300)
      longest = std::max(longest, end - begin);
  };
  static const trec_kernel kernels[] = {watch, watch, watch, watch};
  trec_level_desc level = {"test", 0, kernels};
  struct trec_image image = ::trec_image;
  image.levels = &level;
  Ids ids = randomIds(3, 64, 1);
  for (auto &bag : ids[1])
    bag.assign(300, 7);
  Executor executor;
  Model model(executor.options(4), image);
  Batch batch(ids);
  trec_forward_args args = batch.args();
  longest = 0;
  ASSERT_EQ(trec_runtime_forward(model, &args, nullptr), TREC_OK);
  EXPECT_EQ(executor.pieces, 16);
  EXPECT_GE(longest, 64 / 16);
  EXPECT_LE(longest, 64 / 16 + 2);
}

TEST(Threads, SmallWorkStaysOnTheCallersThread) {
  Executor executor;
  Model model(executor.options(8));
  BigBatch small(4);
  ASSERT_EQ(small.forward(model), TREC_OK);
  EXPECT_EQ(small.batch.output, small.result);
  Executor alone;
  Model single(alone.options(1));
  BigBatch big;
  ASSERT_EQ(big.forward(single), TREC_OK);
  EXPECT_EQ(executor.calls + alone.calls, 0);
}

TEST(Threads, PoolStartsLateAndEndsWithTheModel) {
  SKIP_UNDER_TSAN();
  const int before = threadsOfProcess();
  {
    Model model(withThreads(4));
    BigBatch small(1), big;
    small.forward(model);
    EXPECT_EQ(threadsOfProcess(), before);
    big.forward(model);
    EXPECT_EQ(threadsOfProcess(), before + 3);
    big.forward(model);
    EXPECT_EQ(threadsOfProcess(), before + 3);
  }
  EXPECT_EQ(threadsOfProcess(), before);
}

TEST(Threads, ReportDoesNotDependOnThreads) {
  for (int32_t threads : {1, 2, 5, 64})
    for (int64_t last : {5, 350, 699}) {
      BigBatch big;
      big.ids[0][last].push_back(10); // bad in t1, good in t2
      big.ids[1][0].push_back(-9);
      big.ids[2][699].push_back(11);
      big.batch = Batch(big.ids);
      trec_create_options options = withThreads(threads);
      options.bounds_check = TREC_BOUNDS_FATAL;
      Model model(options);
      Error error;
      EXPECT_EQ(big.forward(model, &error), TREC_OUT_OF_BOUNDS);
      EXPECT_EQ(error.feature, 0);
      EXPECT_EQ(error.table, 0);
      EXPECT_EQ(error.sample, last);
      EXPECT_EQ(error.position, static_cast<int64_t>(big.ids[0][last].size()) - 1);
      EXPECT_EQ(model.counters().bad_ids, 3);
    }
}

// However many call at once, the model adds the threads of one pool.
TEST(Threads, ManyCallersOfOneModel) {
  for (int32_t poolThreads : {1, 4}) {
    Model model(withThreads(poolThreads));
    const int allowed = threadsOfProcess() + 8 + poolThreads - 1;
    std::atomic<int> wrong{0}, tooMany{0};
    std::vector<std::thread> callers;
    for (int c = 0; c < 8; ++c)
      callers.emplace_back([&, c] {
        BigBatch big(100 + 50 * c);
        for (int i = 0; i < 30; ++i) {
          std::fill(big.batch.output.begin(), big.batch.output.end(), NAN);
          wrong += big.forward(model) != TREC_OK || big.batch.output != big.result;
          tooMany += threadsOfProcess() > allowed;
        }
      });
    for (std::thread &caller : callers)
      caller.join();
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(tooMany, 0);
    EXPECT_EQ(model.counters().forwards, 8 * 30);
  }
}

/// Runs `body` in a child process that is given ten seconds; its exit code, or -1.
template <typename Body> int runInChild(Body body) {
  pid_t child = fork();
  if (child == 0) {
    alarm(10);
    _exit(body());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Threads, ChildProcessStartsItsOwnPool) {
  SKIP_UNDER_TSAN();
  auto *model = new Model(withThreads(4));
  BigBatch big;
  ASSERT_EQ(big.forward(*model), TREC_OK);
  EXPECT_EQ(runInChild([&] {
              for (int i = 0; i < 3; ++i) {
                std::fill(big.batch.output.begin(), big.batch.output.end(), NAN);
                if (big.forward(*model) != TREC_OK || big.batch.output != big.result)
                  return 1;
              }
              const int threads = threadsOfProcess();
              delete model;
              return threads == 4 && threadsOfProcess() == 1 ? 0 : 2;
            }),
            0);
  EXPECT_EQ(big.forward(*model), TREC_OK);
  delete model;
}

// The child is born while another thread is inside forward, so the pool that it inherits is taken for ever.
TEST(Threads, ChildOfABusyParentDoesNotWait) {
  SKIP_UNDER_TSAN();
  Model model(withThreads(3));
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    BigBatch big(3000);
    while (!stop)
      big.forward(model);
  });
  BigBatch big;
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(runInChild([&] { return big.forward(model) == TREC_OK && big.batch.output == big.result ? 0 : 1; }), 0);
  stop = true;
  busy.join();
}

TEST(Threads, ChildMayDestroyWithoutForward) {
  SKIP_UNDER_TSAN();
  auto *model = new Model(withThreads(4));
  BigBatch big;
  ASSERT_EQ(big.forward(*model), TREC_OK);
  EXPECT_EQ(runInChild([&] {
              delete model;
              return 0;
            }),
            0);
  delete model;
}

#ifdef __x86_64__
// A caller that flushes denormals to zero gets that from every thread, and a later one that does not, from none.
TEST(Threads, WorkersFollowTheCallersFloatControl) {
  static std::atomic<int> differing;
  static unsigned wanted;
  static const trec_kernel watch = [](const trec_bag_args *, int64_t, int64_t) {
    differing += (_mm_getcsr() & ~0x3fu) != wanted;
    std::this_thread::sleep_for(std::chrono::milliseconds(1)); // so that every worker gets a piece
  };
  static const trec_kernel kernels[] = {watch, watch, watch, watch};
  trec_level_desc level = {"test", 0, kernels};
  struct trec_image image = ::trec_image;
  image.levels = &level;
  Model model(withThreads(4), image);
  BigBatch big;
  const unsigned before = _mm_getcsr();
  for (unsigned control : {before | 0x8040u, before, before | 0x8040u}) {
    wanted = control & ~0x3fu;
    differing = 0;
    _mm_setcsr(control);
    big.forward(model);
    EXPECT_EQ(_mm_getcsr() & ~0x3fu, wanted);
    _mm_setcsr(before);
    EXPECT_EQ(differing, 0);
  }
}
#endif

// Signals are for the program's own threads.
TEST(Threads, WorkersBlockSignals) {
  static std::atomic<int> unblocked;
  static std::atomic<std::thread::id> caller;
  static const trec_kernel watch = [](const trec_bag_args *, int64_t, int64_t) {
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    if (std::this_thread::get_id() != caller.load())
      unblocked += !sigismember(&blocked, SIGTERM) || !sigismember(&blocked, SIGUSR1);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  static const trec_kernel kernels[] = {watch, watch, watch, watch};
  trec_level_desc level = {"test", 0, kernels};
  struct trec_image image = ::trec_image;
  image.levels = &level;
  Model model(withThreads(4), image);
  caller = std::this_thread::get_id();
  BigBatch big;
  big.forward(model);
  EXPECT_EQ(unblocked, 0);
  sigset_t own;
  pthread_sigmask(SIG_SETMASK, nullptr, &own);
  EXPECT_FALSE(sigismember(&own, SIGUSR1));
}
