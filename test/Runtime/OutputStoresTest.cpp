// How outputs are written, and that kernels are told.
#include "Support.h"

extern "C" {
#include "OutputStores.h"
}

using namespace trectest;

namespace {

alignas(64) char memory[128];

trec_traffic traffic() { return {memory, 256, 1000, 2000}; }

int64_t told, toldFar;
void noteStores(const trec_bag_args *args, int64_t, int64_t) {
  told = args->stores;
  toldFar = args->fetches_far;
}

constexpr int64_t DIM = 16;

/// What the kernel of one feature, empty bags of so many samples, is told of an output that begins at this byte of a
/// line and has so many unused columns. Its table has one row of so many floats.
int64_t toldOf(int64_t samples, int64_t byte, int64_t unused, int64_t dim = DIM) {
  const OneTable one(noteStores, 1, dim);
  Model model(one.options(), one.image());
  const std::vector<int64_t> offsets(static_cast<size_t>(samples * trec_image.num_features) + 1);
  const int64_t stride = dim + unused;
  std::vector<char> output(static_cast<size_t>(samples * stride * 4 + 128));
  const auto line = (reinterpret_cast<uintptr_t>(output.data()) + 63) / 64 * 64;
  trec_forward_args args = {};
  args.size = sizeof args;
  args.batch_size = samples;
  args.num_keys = trec_image.num_features;
  args.offsets = offsets.data();
  args.offsets_type = args.values_type = TREC_INT64;
  args.output = reinterpret_cast<void *>(line + static_cast<uintptr_t>(byte));
  args.output_bytes = static_cast<uint64_t>(samples * stride * 4);
  args.output_row_stride = stride;
  Error error;
  told = toldFar = -1;
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK) << error.text();
  return told;
}

trec_output_limits limitsHere() {
  const trec_cpu cpu = trec_find_cpu();
  return trec_output_limits_of(&cpu);
}

} // namespace

TEST(OutputStores, LimitsAreQuartersOfCaches) {
  const trec_cpu cpu = {TREC_CPU_OTHER, 2 << 20, 32 << 20};
  EXPECT_EQ(trec_output_limits_of(&cpu).fetched, 1 << 19);
  EXPECT_EQ(trec_output_limits_of(&cpu).streaming, 8 << 20);
}

TEST(OutputStores, LastLevelsThatAreSharedOrUnknownAreOfAUsualSize) {
  for (int64_t third : {int64_t(0), int64_t(4 << 20) - 4, int64_t(64) << 20, int64_t(1) << 40}) {
    const trec_cpu cpu = {TREC_CPU_OTHER, 2 << 20, third};
    EXPECT_EQ(trec_output_limits_of(&cpu).streaming, 16 << 20) << third;
  }
}

TEST(OutputStores, SizeOfAllOutputsDecides) {
  const trec_output_limits limits = {100, 1000};
  EXPECT_EQ(trec_stores_of_call(&limits, 100), TREC_STORES_CACHED);
  EXPECT_EQ(trec_stores_of_call(&limits, 101), TREC_STORES_FETCHED);
  EXPECT_EQ(trec_stores_of_call(&limits, 1000), TREC_STORES_FETCHED);
  EXPECT_EQ(trec_stores_of_call(&limits, 1001), TREC_STORES_STREAMING);
}

TEST(OutputStores, LinesAreStreamedWhole) {
  trec_traffic whole = traffic();
  EXPECT_EQ(trec_stores_of_bag(TREC_STORES_STREAMING, &whole), TREC_STORES_STREAMING);
  whole.output = memory + 32;
  EXPECT_EQ(trec_stores_of_bag(TREC_STORES_STREAMING, &whole), TREC_STORES_FETCHED);
  EXPECT_EQ(trec_stores_of_bag(TREC_STORES_FETCHED, &whole), TREC_STORES_FETCHED);
  whole = traffic();
  whole.stride_bytes = 96;
  EXPECT_EQ(trec_stores_of_bag(TREC_STORES_STREAMING, &whole), TREC_STORES_FETCHED);
}

TEST(OutputStores, ManyRowsLeaveNothingToGain) {
  trec_traffic many = traffic();
  many.read_bytes = 2001;
  EXPECT_EQ(trec_stores_of_bag(TREC_STORES_STREAMING, &many), TREC_STORES_CACHED);
  EXPECT_EQ(trec_stores_of_bag(TREC_STORES_FETCHED, &many), TREC_STORES_CACHED);
}

TEST(OutputStores, KernelsAreTold) {
  const trec_output_limits limits = limitsHere();
  const int64_t fetched = limits.fetched / (DIM * 4), kept = limits.streaming / (DIM * 4);
  EXPECT_EQ(toldOf(fetched, 0, 0), TREC_STORES_CACHED);
  EXPECT_EQ(toldOf(fetched + 1, 4, 0), TREC_STORES_FETCHED);
  EXPECT_EQ(toldOf(kept + 1, 0, 0), TREC_STORES_STREAMING);
  EXPECT_EQ(toldOf(kept + 1, 4, 0), TREC_STORES_FETCHED);
  EXPECT_EQ(toldOf(kept + 1, 0, 8), TREC_STORES_FETCHED);
  EXPECT_EQ(toldOf(kept + 1, 0, 16), TREC_STORES_STREAMING);
}

// However near they are: the first level has lines of the output on their way.
TEST(OutputStores, WideRowsOfShortBagsAreFetchedFar) {
  constexpr int64_t twoLines = 32, threeLines = 33;
  const int64_t fetched = limitsHere().fetched;
  EXPECT_EQ(toldOf(fetched / (threeLines * 4) + 1, 0, 0, threeLines), TREC_STORES_FETCHED);
  EXPECT_EQ(toldFar, 1);
  EXPECT_EQ(toldOf(fetched / (threeLines * 4), 0, 0, threeLines), TREC_STORES_CACHED);
  EXPECT_EQ(toldFar, 0);
  EXPECT_EQ(toldOf(fetched / (twoLines * 4) + 1, 0, 0, twoLines), TREC_STORES_FETCHED);
  EXPECT_EQ(toldFar, 0);
}
