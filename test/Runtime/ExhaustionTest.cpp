// Out of memory and out of threads. The linker routes the runtime's calls through the __wrap functions here, which fail
// when told to; leaks on the way out are for LeakSanitizer to see.
#include "Variants.h"

#include <cerrno>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

using namespace trectest;

namespace {

/// Successful allocations left before one fails; negative: none fails.
thread_local int allocationsLeft = -1;
thread_local int allocationsMade = 0;
bool threadsFail = false;
bool mappingsFail = false;
/// What the next reads fail with.
std::vector<int> readErrors;

bool fails() {
  ++allocationsMade;
  return allocationsLeft == 0 || (allocationsLeft > 0 && allocationsLeft-- == 0);
}

} // namespace

extern "C" {
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
int __real_posix_memalign(void **result, size_t alignment, size_t size);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*body)(void *), void *argument);
void *__real_mmap(void *address, size_t size, int protection, int flags, int file, off_t offset);
ssize_t __real_pread(int file, void *bytes, size_t size, off_t offset);

void *__wrap_malloc(size_t size) { return fails() ? nullptr : __real_malloc(size); }
void *__wrap_calloc(size_t count, size_t size) { return fails() ? nullptr : __real_calloc(count, size); }
int __wrap_posix_memalign(void **result, size_t alignment, size_t size) {
  return fails() ? ENOMEM : __real_posix_memalign(result, alignment, size);
}
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*body)(void *), void *argument) {
  return threadsFail ? EAGAIN : __real_pthread_create(thread, attr, body, argument);
}
void *__wrap_mmap(void *address, size_t size, int protection, int flags, int file, off_t offset) {
  return mappingsFail ? MAP_FAILED : __real_mmap(address, size, protection, flags, file, offset);
}
ssize_t __wrap_pread(int file, void *bytes, size_t size, off_t offset) {
  if (readErrors.empty())
    return __real_pread(file, bytes, size, offset);
  errno = readErrors.back();
  readErrors.pop_back();
  return -1;
}
}

// Every allocation of create fails once. The file is misaligned and t2 has no rows, so that there are all kinds.
TEST(Exhaustion, CreateReportsEachFailedAllocation) {
  std::string header = R"({"t1":{"dtype":"U8","shape":[10,16],"data_offsets":[0,160]},)"
                       R"("t2":{"dtype":"U8","shape":[0,8],"data_offsets":[0,0]}})";
  while (header.size() % 16 != 3)
    header += ' ';
  TemporaryFile file(fileOf(header, goodData()));
  trec_table_desc tables[2] = {::trec_image.tables[0], ::trec_image.tables[1]};
  tables[1].rows = 0;
  struct trec_image image = ::trec_image;
  image.tables = tables;
  trec_create_options options = {};
  options.size = sizeof options;
  options.weights_path = file.path();
  const std::vector<std::string> messages = {"out of memory for a model of 2 tables",
                                             "out of memory for a model of 2 tables",
                                             "out of memory for a model of 2 tables",
                                             "out of memory for a model of 2 tables",
                                             ": out of memory for its header",
                                             ": out of memory for its header",
                                             ": out of memory for its header",
                                             "out of memory for a row of zeros",
                                             "out of memory for 160 bytes of table \"t1\""};
  for (size_t allowed = 0; allowed <= messages.size(); ++allowed) {
    Error error;
    trec_model *model;
    allocationsLeft = static_cast<int>(allowed);
    const int32_t status = trec_create_from_image(&image, 0, &options, &model, &error);
    allocationsLeft = -1;
    EXPECT_EQ(status, allowed < messages.size() ? TREC_OUT_OF_MEMORY : TREC_OK) << allowed;
    if (allowed < messages.size()) {
      EXPECT_THAT(error.text(), testing::EndsWith(messages[allowed]));
    }
    trec_runtime_destroy(model);
  }
}

// p1 is misaligned and p2 is empty, which are the two ways for a parameter to need memory of its own.
TEST(Exhaustion, CreateReportsFailedParameters) {
  ParameterImage image;
  image.parameters[1].count = 0;
  ParameterTables tables;
  const std::string odd = std::string(1, ' ') + parameterFile();
  tables.parameters[0].data = odd.data() + 1;
  tables.parameters[1] = {nullptr, 0, 4};
  trec_create_options options = tables.options();
  options.size = sizeof options;
  std::vector<std::string> messages;
  trec_model *model = nullptr;
  for (int allowed = 4; !model && allowed < 10; ++allowed) { // the model itself takes 4
    Error error;
    allocationsLeft = allowed;
    trec_create_from_image(&image.image, 0, &options, &model, &error);
    allocationsLeft = -1;
    messages.push_back(error.text());
  }
  trec_runtime_destroy(model);
  EXPECT_THAT(messages,
              testing::ElementsAre("out of memory for parameter \"p1\"", "out of memory for parameter \"p2\"", ""));
}

// A signal interrupts a read, and then the disk fails.
TEST(Exhaustion, CreateReportsWhatACopyLacks) {
  TemporaryFile file(goodFile());
  trec_create_options options = {};
  options.weights_path = file.path();
  options.pages = TREC_PAGES_HUGE;
  Error error;
  mappingsFail = true;
  EXPECT_EQ(tryCreate(options, error), TREC_OUT_OF_MEMORY);
  mappingsFail = false;
  EXPECT_THAT(error.text(),
              testing::EndsWith(": out of memory for a copy of " + std::to_string(goodFile().size()) + " bytes"));
  readErrors = {EIO, EINTR};
  EXPECT_EQ(tryCreate(options, error), TREC_IO_ERROR);
  EXPECT_THAT(error.text(), testing::EndsWith(": cannot read: Input/output error"));
  readErrors = {EINTR};
  EXPECT_EQ(tryCreate(options, error), TREC_OK);
}

TEST(Exhaustion, ForwardReportsAFailedWorkspace) {
  const Ids ids = randomIds(3, 1000, 2);
  Model model;
  Batch batch(ids);
  trec_forward_args args = batch.args();
  Error error;
  allocationsLeft = 0;
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_OUT_OF_MEMORY);
  allocationsLeft = -1;
  EXPECT_EQ(error.text(), "out of memory for a workspace of 24064 bytes");
}

// The way of small batches must not touch the heap, nor offsets that can be used where they lie.
TEST(Exhaustion, SmallBatchesAllocateNothing) {
  Model model;
  Batch small(randomIds(3, 300, 2)), big(randomIds(3, 1000, 2));
  trec_forward_args args = small.args();
  Error error;
  allocationsMade = 0;
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK);
  args = big.args();
  args.lengths = nullptr;
  args.offsets = big.offsets64.data();
  args.offsets_type = TREC_INT64;
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK);
  EXPECT_EQ(allocationsMade, 0);
}

// Forward goes on alone where no pool, or no thread for it, can be had.
TEST(Exhaustion, ForwardNeedsNoThreads) {
  const Ids ids = randomIds(3, 1000, 4);
  trec_create_options options = {};
  options.threads = 4;
  Batch batch(ids);
  trec_forward_args args = batch.args();
  for (bool memory : {false, true}) {
    Model model(options);
    std::fill(batch.output.begin(), batch.output.end(), -1.0f);
    threadsFail = memory;
    allocationsLeft = memory ? -1 : 1; // the workspace, not the pool
    EXPECT_EQ(trec_runtime_forward(model, &args, nullptr), TREC_OK);
    allocationsLeft = -1;
    threadsFail = false;
    EXPECT_EQ(batch.output, expected(ids));
  }
}
