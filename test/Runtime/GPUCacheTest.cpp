// What a model asks of a GPU's second level of cache: how much is fetched, and what is to stay in it.
#include "GPUSupport.h"

using namespace trectest;

namespace {

/// Each table has two lookups. t1 has 160 bytes; t2 has 320, and lies 256 bytes behind it in the model's block.
class GPUCache : public GPU {
protected:
  trec_create_options options() {
    trec_create_options options = onGPU();
    options.weights_data = file.data();
    options.weights_bytes = file.size();
    return options;
  }
  trec_create_options persisting(uint64_t bytes) {
    trec_create_options asked = options();
    asked.l2_persist_bytes = bytes;
    return asked;
  }
  void expectError(int32_t status, const std::string &message, const trec_create_options &options) {
    EXPECT_EQ(tryCreate(options, error, image), status);
    EXPECT_THAT(error.text(), HasSubstr(message));
  }
  /// So many bytes of each table are to stay in the cache, by a window of so many, and the sums are right.
  void expectWindow(const trec_create_options &options, size_t bytes, std::pair<uint64_t, uint64_t> persistent) {
    const Ids ids = randomIds(3, 5, 4);
    Batch batch(ids);
    Model model(options, image);
    trec_table_info infos[2] = {};
    for (int64_t i = 0; i < 2; ++i) {
      infos[i].size = sizeof infos[i];
      EXPECT_EQ(trec_runtime_table_info(model, i, &infos[i]), TREC_OK);
    }
    EXPECT_EQ(std::pair(infos[0].persistent_bytes, infos[1].persistent_bytes), persistent);
    ASSERT_EQ(forward(model, batch.args()), TREC_OK) << error.text();
    EXPECT_EQ(batch.output, expected(ids));
    EXPECT_EQ(cuda.window.bytes, bytes);
    EXPECT_EQ(cuda.window.hit_ratio, bytes ? 1 : 0);
    EXPECT_EQ(cuda.window.hit, bytes ? 2 : 0); // persisting
    EXPECT_EQ(cuda.window.miss, 0);            // as without a window
  }

  std::string file = goodFile();
  GPUImage image;
};

} // namespace

TEST_F(GPUCache, Fetches) {
  {
    Model model(options(), image);
    EXPECT_EQ(cuda.l2_fetch_bytes, 0u);
  }
  trec_create_options asked = options();
  asked.l2_fetch_bytes = 32;
  {
    Model model(asked, image);
    EXPECT_EQ(cuda.l2_fetch_bytes, 32u);
  }
  EXPECT_EQ(cuda.l2_fetch_bytes, 32u); // of the whole process
  cuda.failing = "cuCtxSetLimit";
  cuda.result = 215;
  expectError(TREC_GPU_ERROR, "GPU: cannot set l2_fetch_bytes", asked);
}

TEST_F(GPUCache, KeepsNothingByDefault) {
  cuda.max_persisting = 0; // is not asked for
  expectWindow(options(), 0, {0, 0});
  EXPECT_EQ(cuda.l2_persist_bytes, 0u);
}

// The table that has more lookups for its size, then the next one.
TEST_F(GPUCache, Keeps) {
  expectWindow(persisting(100), 100, {100, 0});
  expectWindow(persisting(200), 160, {160, 0}); // as far as tables go
  expectWindow(persisting(300), 300, {160, 44});
  expectWindow(persisting(1000), 256 + 320, {160, 320});
  EXPECT_EQ(cuda.l2_persist_bytes, 1000u);
}

TEST_F(GPUCache, ALimitIsRaisedAlone) {
  cuda.l2_persist_bytes = 500;
  expectWindow(persisting(300), 300, {160, 44});
  EXPECT_EQ(cuda.l2_persist_bytes, 500u);
  expectWindow(persisting(600), 576, {160, 320});
  EXPECT_EQ(cuda.l2_persist_bytes, 600u); // of the whole process
}

TEST_F(GPUCache, AWindowIsNoLongerThanTheDeviceAllows) {
  cuda.max_window = 256 + 32;
  expectWindow(persisting(1000), 288, {160, 32});
}

TEST_F(GPUCache, TablesOnTheHostAreNotKept) {
  trec_create_options asked = persisting(200);
  std::vector<int32_t> places = {TREC_PLACE_HOST, TREC_PLACE_AUTO};
  asked.placements = places.data();
  asked.num_placements = 2;
  expectWindow(asked, 200, {0, 200});
  places[1] = TREC_PLACE_HOST;
  expectWindow(asked, 0, {0, 0});
}

// They stay in the order in which they lie: whatever is between them is not read by the model.
TEST_F(GPUCache, TablesOfTheCallers) {
  const std::string data = goodData();
  alignas(16) static float second[T2_ROWS][4] = {}, first[T1_ROWS][4] = {};
  for (int r = 0; r < T1_ROWS; ++r)
    std::memcpy(first[r], data.data() + r * 16, 16);
  for (int r = 0; r < T2_ROWS; ++r)
    std::memcpy(second[r], data.data() + T1_ROWS * 16 + r * 8, 8);
  const trec_table_data given[] = {{first, T1_ROWS, 16}, {second, T2_ROWS, 16}};
  trec_create_options callers = onGPU();
  callers.tables = given;
  callers.num_tables = 2;
  callers.tables_location = TREC_DEVICE_CUDA;
  callers.l2_persist_bytes = 100;
  expectWindow(callers, 100, {100, 0});
  EXPECT_EQ(cuda.window.begin, reinterpret_cast<uintptr_t>(first));
}

TEST_F(GPUCache, WhatTheDeviceDoesNotAllow) {
  cuda.max_persisting = 1000;
  expectError(TREC_INVALID_ARGUMENT,
              "l2_persist_bytes is 1001, expected at most 1000, which GPU 0 (Fake H100) sets aside", persisting(1001));
  cuda.max_persisting = 0;
  expectError(TREC_UNSUPPORTED_GPU, "l2_persist_bytes is 1, but GPU 0 (Fake H100) sets no part of its cache aside",
              persisting(1));
}

TEST_F(GPUCache, FunctionsThatFail) {
  const std::vector<std::pair<std::string, std::string>> doing = {{"cuDeviceGetAttribute", "ask the device"},
                                                                  {"cuCtxGetLimit", "set l2_persist_bytes"},
                                                                  {"cuCtxSetLimit", "set l2_persist_bytes"}};
  cuda.result = 999;
  for (const auto &[function, what] : doing) {
    cuda.failing = function.c_str();
    expectError(TREC_GPU_ERROR, "GPU: cannot " + what + ": unknown error (CUDA error 999)", persisting(100));
  }
  cuda.failing = "cuLaunchKernelEx";
  Model model(persisting(100), image);
  Batch batch(randomIds(3, 5, 4));
  EXPECT_EQ(forward(model, batch.args()), TREC_GPU_ERROR);
  EXPECT_EQ(error.text(), "GPU: cannot launch the model: unknown error (CUDA error 999)");
}
