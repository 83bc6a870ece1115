// Creating models on a GPU: what is found and what is missing, which code is loaded, what is copied.
#include "GPUSupport.h"

#include <memory>

using namespace trectest;

namespace {

class GPUCreate : public GPU {
protected:
  /// Fails to create a model with these options, with this message.
  void expectError(int32_t status, const std::string &message, const trec_create_options &given = onGPU()) {
    const std::string file = goodFile();
    trec_create_options options = given;
    if (!options.tables) {
      options.weights_data = file.data();
      options.weights_bytes = file.size();
    }
    EXPECT_EQ(tryCreate(options, error, image), status);
    EXPECT_THAT(error.text(), HasSubstr(message));
  }
  /// Makes the image take tables of any number of rows.
  void takeAnyRows() {
    tables[0].rows = tables[1].rows = -1;
    image.image.tables = tables;
  }
  trec_table_desc tables[2] = {::trec_image.tables[0], ::trec_image.tables[1]};
  GPUImage image;
};

} // namespace

TEST_F(GPUCreate, NoDriver) {
  driverIsMissing = true;
  expectError(TREC_UNSUPPORTED_GPU, "no GPU driver: /nowhere/libcuda.so.1: cannot open shared object file");
}

TEST_F(GPUCreate, DriverWithoutAFunction) {
  hiddenFunction = "cuMemPoolCreate";
  expectError(TREC_UNSUPPORTED_GPU,
              "the GPU driver is too old: it has no cuMemPoolCreate, expected CUDA 11.8 or later");
}

TEST_F(GPUCreate, OldDriver) {
  cuda.version = 11040;
  expectError(TREC_UNSUPPORTED_GPU, "the GPU driver is too old: it is for CUDA 11.4, expected 11.8 or later");
}

TEST_F(GPUCreate, DriverWithoutADevice) {
  cuda.failing = "cuInit";
  cuda.result = 100;
  expectError(TREC_UNSUPPORTED_GPU,
              "the GPU driver cannot be used: no CUDA-capable device is detected (CUDA error 100)");
}

TEST_F(GPUCreate, DeviceThatIsNotThere) {
  trec_create_options options = onGPU();
  options.device_index = 2;
  expectError(TREC_UNSUPPORTED_GPU, "device_index is 2, but there are 2 GPUs", options);
  cuda.devices = 1;
  options.device_index = -1;
  expectError(TREC_UNSUPPORTED_GPU, "device_index is -1, but there is 1 GPU", options);
}

TEST_F(GPUCreate, ModelWithoutCode) {
  image.image.gpu = nullptr;
  expectError(TREC_UNSUPPORTED_GPU, "model \"test\" has no code for GPUs: compile it with --gpu");
}

TEST_F(GPUCreate, NoCodeForTheChip) {
  cuda.capability = 75;
  expectError(TREC_UNSUPPORTED_GPU, "model \"test\" has no code for GPU 0 (Fake H100, compute capability 7.5), it has "
                                    "code for sm_80, sm_90, sm_80 (PTX)");
}

TEST_F(GPUCreate, BestCodeForTheChip) {
  const std::vector<std::pair<int, std::string>> expected = {
      {80, "code of sm_80"}, {86, "code of sm_80"}, {90, "code of sm_90"}, {100, "PTX"}};
  for (const auto &[capability, code] : expected) {
    cuda.capability = capability;
    Model model(onGPU(), image);
    EXPECT_EQ(static_cast<const char *>(cuda.code), code) << capability;
  }
}

TEST_F(GPUCreate, OptionsThatMakeNoSense) {
  trec_create_options options = onGPU();
  options.device = 7;
  expectError(TREC_INVALID_ARGUMENT, "device is 7, expected TREC_DEVICE_CPU (0) or TREC_DEVICE_CUDA (1)", options);
  options = onGPU();
  options.tables_location = TREC_DEVICE_CUDA;
  expectError(TREC_INVALID_ARGUMENT,
              "tables_location is 1, expected TREC_DEVICE_CPU (0), or, with tables and on a GPU, TREC_DEVICE_CUDA (1)",
              options);
}

TEST_F(GPUCreate, OutOfDeviceMemory) {
  cuda.memory = 600;
  expectError(TREC_OUT_OF_MEMORY, "GPU 0 (Fake H100) is out of memory for ");
  EXPECT_THAT(error.text(), HasSubstr(" bytes of tables: 600 of its 600 bytes are free"));
}

// Whatever the driver refuses, the call ends with its reason, and nothing is left behind: TearDown looks.
TEST_F(GPUCreate, EachFunctionThatFails) {
  const std::vector<std::pair<std::string, std::string>> doing = {
      {"cuDeviceGetCount", "count devices"},         {"cuDevicePrimaryCtxRetain", "take the device's context"},
      {"cuModuleLoadData", "load the model's code"}, {"cuModuleGetFunction", "find trec_forward_i32"},
      {"cuMemHostAlloc", "map memory for reports"},  {"cuMemPoolCreate", "make a memory pool"},
      {"cuMemAlloc_v2", "take memory for tables"},   {"cuMemcpyHtoDAsync_v2", "copy tables to the device"}};
  for (const auto &[function, what] : doing) {
    cuda.failing = function.c_str();
    cuda.result = 999;
    expectError(TREC_GPU_ERROR, "GPU: cannot " + what + ": unknown error (CUDA error 999)");
  }
  cuda.failing = "cuMemHostAlloc";
  cuda.skips = 2; // the second buffer for copies
  expectError(TREC_GPU_ERROR, "GPU: cannot copy tables to the device: unknown error");
}

// The same library serves on the CPU, and then looks for no driver.
TEST_F(GPUCreate, NoDriverIsNeededOnTheCPU) {
  driverIsMissing = true;
  Model model({}, image);
  EXPECT_STREQ(trec_runtime_cpu_level(model), "x86-64");
  const Ids ids = randomIds(3, 5, 4);
  Batch batch(ids);
  EXPECT_EQ(forward(model, batch.args()), TREC_OK);
  EXPECT_EQ(batch.output, expected(ids));
  EXPECT_EQ(trec_runtime_poll(model, &error), TREC_OK);
  EXPECT_EQ(trec_runtime_poll(nullptr, &error), TREC_INVALID_ARGUMENT);
}

// Neither the file nor memory that was copied is held on to.
TEST_F(GPUCreate, WeightsMayGoAway) {
  auto file = std::make_unique<std::string>(goodFile());
  trec_create_options options = onGPU();
  options.weights_data = file->data();
  options.weights_bytes = file->size();
  Model model(options, image);
  EXPECT_EQ(trec_runtime_cpu_level(model), nullptr);
  std::fill(file->begin(), file->end(), 'x');
  file.reset();
  const Ids ids = randomIds(3, 5, 4);
  Batch batch(ids);
  EXPECT_EQ(forward(model, batch.args()), TREC_OK) << error.text();
  EXPECT_EQ(batch.output, expected(ids));
}

// More rows than both buffers of pinned memory hold, and rows that are padded on the way.
TEST_F(GPUCreate, LargeTablesArriveInPieces) {
  const int64_t rows[] = {2500000, 2100000};
  takeAnyRows();
  std::vector<float> first(rows[0] * T1_DIM), second(rows[1] * T2_DIM);
  for (size_t i = 0; i < first.size(); ++i)
    first[i] = static_cast<float>(i % 1000003);
  for (size_t i = 0; i < second.size(); ++i)
    second[i] = static_cast<float>(i % 999983);
  const trec_table_data given[] = {{first.data(), rows[0], T1_DIM * 4}, {second.data(), rows[1], T2_DIM * 4}};
  trec_create_options options = onGPU();
  options.tables = given;
  options.num_tables = 2;
  Model model(options, image);
  EXPECT_GT(cuda.copies, 4);
  const std::vector<int64_t> ids = {0, 1048575, 1048576, 2099999};
  Batch batch(
      Ids{{{ids[0]}, {ids[1]}, {ids[2]}, {ids[3]}}, {{ids[3]}, {ids[2]}, {ids[1]}, {ids[0]}}, {{}, {}, {}, {}}});
  ASSERT_EQ(forward(model, batch.args()), TREC_OK) << error.text();
  for (size_t b = 0; b < ids.size(); ++b)
    for (int e = 0; e < T1_DIM; ++e) {
      EXPECT_EQ(batch.output[b * TOTAL_DIM + e], first[ids[b] * T1_DIM + e]);
      EXPECT_EQ(batch.output[b * TOTAL_DIM + 4 + e % T2_DIM], second[ids[3 - b] * T2_DIM + e % T2_DIM]);
    }
}

// A table of the caller's on the device is used where it lies, and may be changed there.
TEST_F(GPUCreate, TablesOnTheDevice) {
  alignas(16) float first[T1_ROWS][4], second[T2_ROWS][4];
  for (int r = 0; r < T2_ROWS; ++r)
    for (int e = 0; e < 4; ++e)
      second[r][e] = first[r % T1_ROWS][e] = static_cast<float>(r % T1_ROWS) + static_cast<float>(e) / 8;
  trec_table_data given[] = {{first, T1_ROWS, 16}, {second, T2_ROWS, 16}};
  trec_create_options options = onGPU();
  options.tables = given;
  options.num_tables = 2;
  options.tables_location = TREC_DEVICE_CUDA;
  Batch batch(Ids{{{2}}, {{3}}, {{}}});
  {
    Model model(options, image);
    first[2][1] = 77;
    ASSERT_EQ(forward(model, batch.args()), TREC_OK) << error.text();
    EXPECT_THAT(batch.output, testing::ElementsAre(2, 77, 2.25f, 2.375f, 3, 3.125f, 0, 0, 0, 0, 2, 2.125f));
  }
  given[1].row_bytes = 8;
  expectError(TREC_WEIGHTS_MISMATCH, "caller's tables: table \"t2\" has rows of 8 bytes, expected 16", options);
  given[1] = {&second[0][1], T2_ROWS, 16};
  expectError(TREC_INVALID_ARGUMENT, "caller's tables: \"t2\" is not aligned to 16 bytes on the device", options);
  EXPECT_EQ(error.table, 1);
}

TEST_F(GPUCreate, ParametersOnTheDevice) {
  ParameterImage parameters;
  GPUImage onDevice(parameters);
  ParameterTables given;
  alignas(16) float first[T1_ROWS][4] = {}, second[T2_ROWS][4] = {};
  first[3][0] = 5;
  given.tables[0] = {first, T1_ROWS, 16};
  given.tables[1] = {second, T2_ROWS, 16};
  trec_create_options options = given.options();
  options.device = options.tables_location = TREC_DEVICE_CUDA;
  Batch batch(Ids{{{3}}, {{}}, {{0}}});
  {
    Model model(options, onDevice);
    given.weights[0] = 3; // in place
    ASSERT_EQ(forward(model, batch.args()), TREC_OK) << error.text();
    EXPECT_EQ(batch.output[0], 15);
    EXPECT_EQ(batch.output[6], 5); // id 0 is mapped to row 3
  }
  given.map[1] = T1_ROWS; // maps are checked wherever they lie
  EXPECT_EQ(tryCreate(options, error, onDevice), TREC_WEIGHTS_MISMATCH);
  EXPECT_THAT(error.text(), HasSubstr("maps id 1 to row 10, but table \"t1\" has 10 rows"));
  given.map[1] = 0;
  std::vector<float> longer(NUM_POSITIONS + 1);
  given.parameters[0].data = reinterpret_cast<char *>(longer.data()) + 1;
  EXPECT_EQ(tryCreate(options, error, onDevice), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(error.text(), "caller's parameters: \"p1\" is not aligned to 4 bytes on the device");
  cuda.failing = "cuMemcpyDtoH_v2";
  cuda.result = 700;
  EXPECT_EQ(tryCreate(options, error, onDevice), TREC_GPU_ERROR);
  EXPECT_THAT(error.text(), HasSubstr("cannot read parameters on the device"));
}

TEST_F(GPUCreate, MoreRowsThanKernelsCount) {
  takeAnyRows();
  alignas(16) float row[4] = {};
  const trec_table_data given[] = {{row, int64_t(1) << 32, 16}, {row, 1, 16}};
  trec_create_options options = onGPU();
  options.tables = given;
  options.num_tables = 2;
  options.tables_location = TREC_DEVICE_CUDA;
  expectError(TREC_INVALID_ARGUMENT, "table \"t1\" has 4294967296 rows, a GPU takes fewer than 4294967295", options);
}

TEST_F(GPUCreate, TableWithoutRows) {
  takeAnyRows();
  alignas(16) float second[T2_ROWS][4] = {{1, 2}};
  for (const int32_t location : {TREC_DEVICE_CPU, TREC_DEVICE_CUDA}) {
    const trec_table_data given[] = {{nullptr, 0, 16}, {second, 1, location == TREC_DEVICE_CUDA ? 16 : 8}};
    trec_create_options options = onGPU();
    options.tables = given;
    options.num_tables = 2;
    options.tables_location = location;
    options.bounds_check = TREC_BOUNDS_IGNORE;
    Model model(options, image);
    Batch batch(Ids{{{0, 5}}, {{0}}, {{}}});
    ASSERT_EQ(forward(model, batch.args()), TREC_OK) << error.text();
    EXPECT_THAT(batch.output, testing::ElementsAre(0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 4));
    EXPECT_EQ(trec_runtime_poll(model, &error), TREC_OK);
    EXPECT_EQ(model.counters().bad_ids, 3); // two in the empty table, one in t2
  }
}
