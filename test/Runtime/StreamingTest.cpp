// Which outputs are written around the cache, and that kernels are told.
#include "Support.h"

extern "C" {
#include "Streaming.h"
}

using namespace trectest;

namespace {

alignas(64) char memory[128];

trec_traffic traffic() { return {memory, 256, 1000, 2000}; }

int64_t told;
void noteStreams(const trec_bag_args *args, int64_t, int64_t) { told = args->streams; }
const trec_kernel noting[] = {noteStreams, noteStreams, noteStreams, noteStreams};

constexpr int64_t DIM = 16;

/// What the kernel of one feature, empty bags of so many samples, is told of an output that begins at this byte of a
/// line and has so many unused columns.
int64_t toldOf(int64_t samples, int64_t byte, int64_t unused) {
  const std::vector<float> rows(DIM);
  const trec_table_desc table = {trec_image.tables[0].name, 1, DIM * 4, DIM, TREC_WEIGHTS_FP32};
  const trec_table_data data = {rows.data(), 1, DIM * 4};
  const trec_bag_desc bag = {};
  struct trec_level_desc level = trec_image.levels[0];
  level.kernels = noting;
  struct trec_image image = trec_image;
  image.tables = &table;
  image.num_tables = 1;
  image.bags = &bag;
  image.num_bags = 1;
  image.num_features = 1;
  image.levels = &level;
  image.total_dim = DIM;
  trec_create_options options = {};
  options.size = sizeof options;
  options.tables = &data;
  options.num_tables = 1;
  Model model(options, image);
  const std::vector<int64_t> offsets(static_cast<size_t>(samples) + 1);
  const int64_t stride = DIM + unused;
  std::vector<char> output(static_cast<size_t>(samples * stride * 4 + 128));
  const auto line = (reinterpret_cast<uintptr_t>(output.data()) + 63) / 64 * 64;
  trec_forward_args args = {};
  args.size = sizeof args;
  args.batch_size = samples;
  args.num_keys = 1;
  args.offsets = offsets.data();
  args.offsets_type = args.values_type = TREC_INT64;
  args.output = reinterpret_cast<void *>(line + static_cast<uintptr_t>(byte));
  args.output_bytes = static_cast<uint64_t>(samples * stride * 4);
  args.output_row_stride = stride;
  Error error;
  told = -1;
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK) << error.text();
  return told;
}

} // namespace

TEST(Streaming, KeptBytesAreAPartOfACache) {
  EXPECT_GE(trec_kept_output_bytes(), 1 << 20);
  EXPECT_LE(trec_kept_output_bytes(), 16 << 20);
}

TEST(Streaming, LinesAreWhole) {
  trec_traffic whole = traffic();
  EXPECT_EQ(trec_streams(&whole), 1);
  whole.output = memory + 32;
  EXPECT_EQ(trec_streams(&whole), 0);
  whole = traffic();
  whole.stride_bytes = 96;
  EXPECT_EQ(trec_streams(&whole), 0);
}

TEST(Streaming, RowsAreFewerBytesThanOutputs) {
  trec_traffic many = traffic();
  many.read_bytes = 2001;
  EXPECT_EQ(trec_streams(&many), 0);
}

TEST(Streaming, KernelsAreTold) {
  const int64_t kept = trec_kept_output_bytes() / (DIM * 4);
  EXPECT_EQ(toldOf(kept, 0, 0), 0);
  EXPECT_EQ(toldOf(kept + 1, 0, 0), 1);
  EXPECT_EQ(toldOf(kept + 1, 4, 0), 0);
  EXPECT_EQ(toldOf(kept + 1, 0, 8), 0);
  EXPECT_EQ(toldOf(kept + 1, 0, 16), 1);
}
