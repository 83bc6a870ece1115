// Forward on a GPU: the numbers for each form of a batch, and what is put on the stream for it.
#include "GPUSupport.h"

#include <algorithm>
#include <cmath>

using namespace trectest;

namespace {

class GPUForward : public GPU {
protected:
  GPUImage image;
  const Ids ids = randomIds(3, 37, 5);
};

} // namespace

// Ids, and lengths or offsets, of each type.
TEST_F(GPUForward, AllFormsOfABatch) {
  Model model(onGPU(), image);
  Batch batch(ids);
  for (const bool narrowIds : {false, true})
    for (int form = 0; form < 4; ++form) {
      trec_forward_args args = batch.args();
      args.values = narrowIds ? static_cast<void *>(batch.values32.data()) : batch.values64.data();
      args.values_type = narrowIds ? TREC_INT32 : TREC_INT64;
      const void *const bounds[] = {batch.lengths32.data(), batch.lengths64.data(), batch.offsets32.data(),
                                    batch.offsets64.data()};
      args.lengths = form < 2 ? bounds[form] : nullptr;
      args.offsets = form < 2 ? nullptr : bounds[form];
      args.lengths_type = args.offsets_type = form % 2 ? TREC_INT64 : TREC_INT32;
      std::fill(batch.output.begin(), batch.output.end(), NAN);
      ASSERT_EQ(forward(model, args), TREC_OK) << error.text();
      EXPECT_EQ(batch.output, expected(ids)) << narrowIds << form;
    }
  EXPECT_EQ(model.counters().forwards, 8);
}

TEST_F(GPUForward, WeightsAndRowStride) {
  image.image.weighted = 1;
  Model model(onGPU(), image);
  Batch batch(ids);
  const std::vector<float> weights(batch.values64.size(), 2);
  std::vector<float> wide(batch.batchSize * 20, NAN);
  trec_forward_args args = batch.args();
  args.weights = weights.data();
  args.num_weights = static_cast<int64_t>(weights.size());
  args.output = wide.data();
  args.output_bytes = wide.size() * sizeof(float);
  args.output_row_stride = 20;
  ASSERT_EQ(forward(model, args), TREC_OK) << error.text();
  const std::vector<float> single = expected(ids);
  for (int64_t b = 0; b < batch.batchSize; ++b)
    for (int c = 0; c < 20; ++c)
      if (c < TOTAL_DIM)
        EXPECT_EQ(wide[b * 20 + c], 2 * single[b * TOTAL_DIM + c]);
      else
        EXPECT_TRUE(std::isnan(wide[b * 20 + c]));
}

// A launch with fewer blocks than keep a device busy is one of the kernel for few bags, if the model has one, and one
// with so few that each bag can have a block of the kernel whose blocks share bags.
TEST_F(GPUForward, FewBagsHaveKernelsOfTheirOwn) {
  // A sample has 3 blocks of the kernels for many bags, and 4 that are shared, of which 1,024 run at the same time.
  struct {
    int64_t batchSize;
    bool hasFew, hasShared, few, shared;
  } const cases[] = {
      {1, true, true, false, true},    {256, true, true, false, true},   {257, true, true, true, false},
      {682, true, true, true, false},  {683, true, true, false, false},  {256, true, false, true, false},
      {256, false, true, false, true}, {257, false, true, false, false}, {256, false, false, false, false}};
  for (const auto &made : cases) {
    SCOPED_TRACE(made.batchSize);
    image.gpu.has_few_kernels = made.hasFew;
    image.gpu.has_shared_kernels = made.hasShared;
    Model model(onGPU(), image);
    const Ids drawn = randomIds(3, made.batchSize, 5);
    Batch batch(drawn);
    cuda.few_launches = cuda.shared_launches = 0;
    ASSERT_EQ(forward(model, batch.args()), TREC_OK) << error.text();
    EXPECT_EQ(batch.output, expected(drawn));
    EXPECT_EQ(cuda.few_launches, made.few);
    EXPECT_EQ(cuda.shared_launches, made.shared);
  }
}

// More blocks than one launch takes are several launches. A lookup of t1 has 37 blocks here, and one of t2 19.
TEST_F(GPUForward, MoreBlocksThanALaunchTakes) {
  image.gpu.has_shared_kernels = 0;
  for (const auto &[blocks, launches] :
       std::vector<std::pair<int, int>>{{112, 1}, {111, 2}, {74, 2}, {73, 3}, {56, 3}, {40, 3}, {37, 4}}) {
    cuda.max_blocks = blocks;
    Model model(onGPU(), image);
    Batch batch(ids);
    std::fill(batch.output.begin(), batch.output.end(), NAN);
    cuda.launches = 0;
    ASSERT_EQ(forward(model, batch.args()), TREC_OK) << error.text();
    EXPECT_EQ(cuda.launches, 1 + launches) << blocks; // and the sum of lengths
    EXPECT_EQ(batch.output, expected(ids)) << blocks;
  }
}

// Without pooling the blocks of a lookup take turns, however few they are.
TEST_F(GPUForward, FewBlocksWithoutPooling) {
  UnpooledImage unpooled;
  GPUImage onDevice(unpooled);
  cuda.is_unpooled = 1;
  for (const int blocks : {1 * NUM_BAGS, 3 * NUM_BAGS}) {
    cuda.max_blocks = blocks;
    Model model(onGPU(), onDevice);
    Sequences batch(ids);
    cuda.launches = 0;
    ASSERT_EQ(forward(model, batch.args()), TREC_OK) << error.text();
    EXPECT_EQ(cuda.launches, 2);
    for (int i = 0; i < NUM_BAGS; ++i)
      EXPECT_EQ(batch.rows[i], expectedRows(ids, i)) << i;
  }
}

// Nothing waits: the output is there when the stream has come to it.
TEST_F(GPUForward, ReturnsBeforeTheWorkIsDone) {
  Model model(onGPU(), image);
  Batch batch(ids);
  const trec_forward_args args = batch.args();
  const int waits = cuda.waits;
  ASSERT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK);
  EXPECT_EQ(cuda.waits, waits);
  EXPECT_EQ(cuda.launches, 2); // lengths, and the model
  EXPECT_EQ(cuda.queued, 3);   // and the offsets' memory goes back
  EXPECT_TRUE(std::isnan(batch.output[0]));
  EXPECT_EQ(trec_runtime_poll(model, &error), TREC_OK);
  runQueue();
  EXPECT_EQ(batch.output, expected(ids));
}

TEST_F(GPUForward, WorkspaceOfTheCaller) {
  Model model(onGPU(), image);
  Batch batch(ids);
  uint64_t bytes = 0;
  ASSERT_EQ(trec_runtime_workspace_size(model, 3, batch.batchSize, &bytes, &error), TREC_OK);
  std::vector<int64_t> workspace(bytes / 8);
  trec_forward_args args = batch.args();
  args.workspace = workspace.data();
  args.workspace_bytes = bytes - 1;
  EXPECT_EQ(forward(model, args), TREC_INVALID_ARGUMENT);
  EXPECT_THAT(error.text(), HasSubstr("workspace_bytes is"));
  args.workspace_bytes = bytes;
  cuda.failing = "cuMemAllocFromPoolAsync"; // is not called
  cuda.result = 999;
  ASSERT_EQ(forward(model, args), TREC_OK) << error.text();
  EXPECT_EQ(batch.output, expected(ids));
  EXPECT_TRUE(std::equal(batch.offsets64.begin(), batch.offsets64.end(), workspace.begin() + TREC_GPU_SCAN_BLOCKS));
}

// Up to two tiles of 1,024 lengths are one block's; each of 1,024 blocks has several tiles where there are more.
TEST_F(GPUForward, LengthsOfSeveralBlocks) {
  Model model(onGPU(), image);
  for (const auto &[samples, launches] : std::vector<std::pair<int, int>>{{341, 2}, {682, 2}, {683, 3}, {400000, 3}}) {
    const Ids many = randomIds(3, samples, 2);
    Batch batch(many);
    const int before = cuda.launches;
    ASSERT_EQ(forward(model, batch.args()), TREC_OK) << error.text();
    EXPECT_EQ(cuda.launches - before, launches) << samples;
    EXPECT_TRUE(batch.output == expected(many)) << samples;
    EXPECT_EQ(trec_runtime_poll(model, &error), TREC_OK) << error.text();
  }
}

// An order of keys is copied when it is first met, even while a stream is being captured.
TEST_F(GPUForward, SlotsAreCopiedOnce) {
  Model model(onGPU(), image);
  const Ids more = randomIds(5, 9, 4);
  Batch batch(more);
  trec_forward_args args = batch.args();
  const int copies = cuda.copies;
  cuda.is_capturing = 1;
  for (const std::vector<int> &order : {std::vector<int>{4, 0, 2}, {1, 2, 3}, {4, 0, 2}}) {
    std::vector<int32_t> slots(order.begin(), order.end());
    args.slots = slots.data();
    ASSERT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK) << error.text();
    std::fill(slots.begin(), slots.end(), 99); // the caller's again
    runQueue();
    EXPECT_EQ(batch.output, expected(more, order));
  }
  EXPECT_EQ(cuda.copies, copies + 2);
}

// As by a garbage collector, while another model's call is being captured.
TEST_F(GPUForward, ModelsAreDestroyedDuringACapture) {
  const size_t allocated = cuda.allocated;
  {
    Model model(onGPU(), image);
    Batch batch(randomIds(5, 9, 4));
    ASSERT_EQ(forward(model, batch.args()), TREC_OK) << error.text();
    cuda.is_capturing = 1;
  }
  EXPECT_EQ(cuda.ended_captures, 0);
  EXPECT_EQ(cuda.allocated, allocated);
}

TEST_F(GPUForward, EmptyBatches) {
  Model model(onGPU(), image);
  Batch batch(Ids(3));
  trec_forward_args args = batch.args();
  args.num_keys = 3;
  const int launches = cuda.launches;
  ASSERT_EQ(forward(model, args), TREC_OK) << error.text();
  EXPECT_EQ(cuda.launches, launches);
  const int64_t surplus[] = {1, 2};
  args.values = surplus;
  args.num_values = 2;
  EXPECT_EQ(forward(model, args), TREC_INVALID_INPUT);
  EXPECT_EQ(error.text(), "no samples, but there are 2 values: surplus values");
}

TEST_F(GPUForward, MoreThanKernelsCount) {
  Model model(onGPU(), image);
  Batch batch(ids);
  trec_forward_args args = batch.args();
  args.num_values = 2147418113;
  EXPECT_EQ(forward(model, args), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(error.text(), "2147418113 values, 3 keys of 37 samples: a GPU takes at most 2147418112 values and lengths");
  args = batch.args();
  args.num_keys = 2147418112 / 37 + 1;
  EXPECT_EQ(forward(model, args), TREC_INVALID_ARGUMENT);
  EXPECT_THAT(error.text(), HasSubstr("58038328 keys of 37 samples"));
}

// The checks that need no look at arrays are those of the CPU.
TEST_F(GPUForward, ArgumentsAreChecked) {
  Model model(onGPU(), image);
  Batch batch(ids);
  trec_forward_args args = batch.args();
  args.output_bytes -= 1;
  EXPECT_EQ(forward(model, args), TREC_INVALID_ARGUMENT);
  EXPECT_THAT(error.text(), HasSubstr("output_bytes is"));
  EXPECT_EQ(model.counters().failed, 1);
}

TEST_F(GPUForward, FunctionsThatFail) {
  Model model(onGPU(), image);
  Batch batch(ids);
  const int32_t slots[] = {2, 1, 0};
  const std::vector<std::pair<std::string, std::string>> doing = {
      {"cuMemAllocFromPoolAsync", "take memory for offsets"},
      {"cuLaunchKernel", "launch the sum of lengths"},
      {"cuMemFreeAsync", "give back memory of offsets"},
      {"cuMemAlloc_v2", "copy slots"},
      {"cuMemcpyHtoDAsync_v2", "copy slots"}};
  for (const auto &[function, what] : doing) {
    trec_forward_args args = batch.args();
    args.slots = what == "copy slots" ? slots : nullptr;
    cuda.failing = function.c_str();
    cuda.result = 700;
    EXPECT_EQ(forward(model, args), TREC_GPU_ERROR) << what;
    EXPECT_EQ(error.text(), "GPU: cannot " + what + ": unknown error (CUDA error 700)");
  }
  trec_forward_args args = batch.args();
  cuda.failing = "cuLaunchKernel";
  cuda.skips = 1;
  EXPECT_EQ(forward(model, args), TREC_GPU_ERROR);
  EXPECT_EQ(error.text(), "GPU: cannot launch the model: unknown error (CUDA error 700)");
}

TEST_F(GPUForward, Sequences) {
  UnpooledImage unpooled;
  GPUImage onDevice(unpooled);
  cuda.is_unpooled = 1;
  Model model(onGPU(), onDevice);
  Sequences batch(ids);
  ASSERT_EQ(forward(model, batch.args()), TREC_OK) << error.text();
  for (int i = 0; i < NUM_BAGS; ++i)
    EXPECT_EQ(batch.rows[i], expectedRows(ids, i)) << i;
}

// More outputs than one launch holds: each launch has a piece of them.
TEST_F(GPUForward, ManyOutputs) {
  UnpooledImage unpooled;
  const int count = 2 * TREC_GPU_MAX_OUTPUTS + 10;
  std::vector<trec_bag_desc> bags;
  for (int i = 0; i < count; ++i) {
    bags.push_back(unpooled.bags[i % NUM_BAGS]);
    bags.back().column = i;
  }
  unpooled.image.bags = bags.data();
  unpooled.image.num_bags = count;
  GPUImage onDevice(unpooled);
  cuda.is_unpooled = 1;
  Model model(onGPU(), onDevice);
  Sequences four(ids);
  std::vector<std::vector<float>> rows;
  std::vector<void *> outputs;
  std::vector<uint64_t> bytes;
  for (int i = 0; i < count; ++i)
    rows.emplace_back(four.rows[i % NUM_BAGS].size(), NAN);
  for (std::vector<float> &output : rows) {
    outputs.push_back(output.data());
    bytes.push_back(output.size() * sizeof(float));
  }
  trec_forward_args args = four.args();
  args.outputs = outputs.data();
  args.outputs_bytes = bytes.data();
  ASSERT_EQ(forward(model, args), TREC_OK) << error.text();
  EXPECT_EQ(cuda.launches, 1 + 3);
  for (int i = 0; i < count; ++i)
    EXPECT_EQ(rows[i], expectedRows(ids, i % NUM_BAGS)) << i;
}

TEST_F(GPUForward, PositionWeightsAndMaps) {
  ParameterImage parameters;
  GPUImage onDevice(parameters);
  const std::string file = parameterFile();
  trec_create_options options = onGPU();
  options.weights_data = file.data();
  options.weights_bytes = file.size();
  Model model(options, onDevice);
  const Ids few = randomIds(3, 21, NUM_POSITIONS);
  Batch batch(few);
  ASSERT_EQ(forward(model, batch.args()), TREC_OK) << error.text();
  EXPECT_EQ(batch.output, expectedWithParameters(few));
}

namespace {

/// An image of several batches, each of one feature that is looked up in t1 and goes to a group of its own, by kernels
/// that differ in how many samples a block works on.
struct BatchesImage {
  explicit BatchesImage(int count, int kernels) : image(::trec_image) {
    for (int i = 0; i < count; ++i) {
      features.push_back({0, i, 0});
      bags.push_back({2 * (i % kernels), 0, i, 0, 0, 0, i, 0});
      outputs.push_back({0, T1_DIM});
    }
    image.features = features.data();
    image.num_features = image.num_bags = image.num_batches = image.num_outputs = count;
    image.bags = bags.data();
    image.outputs = outputs.data();
    image.num_kernels = 2 * kernels;
    image.total_dim = 0;
  }
  std::vector<trec_feature_desc> features;
  std::vector<trec_bag_desc> bags;
  std::vector<trec_output_desc> outputs;
  struct trec_image image;
};

} // namespace

// Batches with ids of either type need a launch for each type; spans that do not fit into one launch go to the next.
TEST_F(GPUForward, BatchesOfBothTypesAndManySpans) {
  const int count = TREC_MAX_BATCHES, kernels = 11;
  BatchesImage several(count, kernels);
  GPUImage onDevice(several.image);
  onDevice.gpu.has_shared_kernels = 0; // there all lookups have equally many blocks
  Model model(onGPU(), onDevice);
  for (const bool mixed : {false, true}) {
    std::vector<Ids> all;
    std::vector<Batch> batches;
    for (int i = 0; i < count; ++i) {
      all.push_back(randomIds(1, 37, 4, i + 1));
      batches.emplace_back(all.back());
    }
    std::vector<trec_batch> rest(count - 1);
    std::vector<std::vector<float>> got(count, std::vector<float>(37 * T1_DIM, NAN));
    std::vector<void *> outputs;
    std::vector<uint64_t> bytes;
    for (std::vector<float> &output : got) {
      outputs.push_back(output.data());
      bytes.push_back(output.size() * sizeof(float));
    }
    trec_forward_args args = batches[0].args();
    for (int i = 1; i < count; ++i) {
      const trec_forward_args of = batches[i].args();
      const bool narrow = mixed && i % 2;
      rest[i - 1] = {sizeof(trec_batch),
                     1,
                     nullptr,
                     narrow ? static_cast<void *>(batches[i].values32.data()) : of.values,
                     of.num_values,
                     of.lengths,
                     nullptr,
                     nullptr,
                     0,
                     narrow ? TREC_INT32 : TREC_INT64,
                     TREC_INT32,
                     0,
                     0};
    }
    args.output = nullptr;
    args.output_bytes = 0;
    args.outputs = outputs.data();
    args.outputs_bytes = bytes.data();
    args.batches = rest.data();
    args.num_batches = count - 1;
    cuda.launches = 0;
    ASSERT_EQ(forward(model, args), TREC_OK) << error.text();
    EXPECT_EQ(cuda.launches, count + 2);
    for (int i = 0; i < count; ++i)
      for (int64_t b = 0; b < 37; ++b) {
        float sum = 0;
        for (int64_t id : all[i][0][b])
          sum += id == -1 ? 0 : static_cast<float>(id) + 0.125f;
        EXPECT_EQ(got[i][b * T1_DIM + 1], sum) << i << " " << b;
      }
  }
}
