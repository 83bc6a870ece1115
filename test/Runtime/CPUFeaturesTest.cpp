// The choice of kernels by what the machine has. Machines are put in as masks of features.
#include "Support.h"

#include <map>

using namespace trectest;

namespace {

uint64_t maskOf(std::vector<std::string> names) {
  uint64_t mask = 0;
  for (const std::string &name : names)
    for (int bit = 0; trec_cpu_feature_name(bit); ++bit)
      if (name == trec_cpu_feature_name(bit))
        mask |= uint64_t(1) << bit;
  return mask;
}

const std::vector<std::string> v2 = {"cx16", "crc32", "popcnt", "sahf", "sse3", "sse4.1", "sse4.2", "ssse3"};
const std::vector<std::string> v3 = {"avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe", "xsave"};
const std::vector<std::string> v4 = {"avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl"};

/// An image with one level per mask, best first.
struct LeveledImage {
  explicit LeveledImage(const std::vector<std::pair<const char *, uint64_t>> &masks) : image(::trec_image) {
    for (auto [name, mask] : masks)
      levels.push_back({name, mask, ::trec_image.levels[0].kernels});
    image.levels = levels.data();
    image.num_levels = levels.size();
  }
  std::vector<trec_level_desc> levels;
  struct trec_image image;
};

} // namespace

TEST(CPUFeatures, ListHasNoNameTwice) {
  std::map<std::string, int> seen;
  for (int bit = 0; trec_cpu_feature_name(bit); ++bit)
    EXPECT_EQ(++seen[trec_cpu_feature_name(bit)], 1) << trec_cpu_feature_name(bit);
  EXPECT_EQ(trec_cpu_feature_name(-1), nullptr);
}

TEST(CPUFeatures, GenerationsAreThoseOfLLVM) {
  uint64_t mask = 0;
  EXPECT_EQ(trec_cpu_generation(mask), 1);
  int generation = 2;
  for (const auto &names : {v2, v3, v4}) {
    ASSERT_EQ(__builtin_popcountll(maskOf(names)), int(names.size()));
    for (size_t i = 0; i < names.size(); ++i) {
      EXPECT_EQ(trec_cpu_generation(mask | (maskOf(names) & ~maskOf({names[i]}))), generation - 1) << names[i];
    }
    mask |= maskOf(names);
    EXPECT_EQ(trec_cpu_generation(mask), generation++);
  }
  EXPECT_EQ(trec_cpu_generation(~uint64_t(0)), 4);
}

#ifdef __x86_64__
// The compiler's own detection is an independent implementation of the same questions.
TEST(CPUFeatures, AgreeWithTheCompilersDetection) {
  const uint64_t features = trec_cpu_features();
  __builtin_cpu_init();
#define CHECK_FEATURE(name) EXPECT_EQ((features & maskOf({name})) != 0, __builtin_cpu_supports(name) != 0) << name
  CHECK_FEATURE("sse3");
  CHECK_FEATURE("ssse3");
  CHECK_FEATURE("sse4.1");
  CHECK_FEATURE("sse4.2");
  CHECK_FEATURE("popcnt");
  CHECK_FEATURE("fma");
  CHECK_FEATURE("avx");
  CHECK_FEATURE("avx2");
  CHECK_FEATURE("bmi");
  CHECK_FEATURE("bmi2");
  CHECK_FEATURE("aes");
  CHECK_FEATURE("pclmul");
  CHECK_FEATURE("sse4a");
  CHECK_FEATURE("gfni");
  CHECK_FEATURE("vpclmulqdq");
  CHECK_FEATURE("avx512f");
  CHECK_FEATURE("avx512bw");
  CHECK_FEATURE("avx512cd");
  CHECK_FEATURE("avx512dq");
  CHECK_FEATURE("avx512vl");
  CHECK_FEATURE("avx512ifma");
  CHECK_FEATURE("avx512vbmi");
  CHECK_FEATURE("avx512vbmi2");
  CHECK_FEATURE("avx512vnni");
  CHECK_FEATURE("avx512bitalg");
  CHECK_FEATURE("avx512vpopcntdq");
  CHECK_FEATURE("avx512vp2intersect");
}
#endif

TEST(CPUFeatures, BestFittingLevelIsChosen) {
  const uint64_t two = maskOf(v2), three = two | maskOf(v3), four = three | maskOf(v4);
  LeveledImage leveled({{"x86-64-v4", four}, {"x86-64-v3", three}, {"x86-64-v2", two}});
  std::string file = goodFile();
  trec_create_options options = {};
  options.size = sizeof options;
  options.weights_data = file.data();
  options.weights_bytes = file.size();
  const std::pair<uint64_t, const char *> machines[] = {{~uint64_t(0), "x86-64-v4"},
                                                        {three, "x86-64-v3"},
                                                        {three | maskOf({"avx512f"}), "x86-64-v3"},
                                                        {two, "x86-64-v2"}};
  for (auto [machine, level] : machines) {
    Error error;
    trec_model *model;
    ASSERT_EQ(trec_create_from_image(&leveled.image, machine, &options, &model, &error), TREC_OK) << error.message;
    EXPECT_STREQ(trec_runtime_cpu_level(model), level);
    trec_runtime_destroy(model);
  }
}

TEST(CPUFeatures, NoFittingLevelNamesBothSides) {
  const uint64_t two = maskOf(v2), three = two | maskOf(v3), four = three | maskOf(v4);
  LeveledImage leveled({{"x86-64-v4", four}, {"x86-64-v3", three}});
  trec_create_options options = {};
  options.size = sizeof options;
  Error error;
  trec_model *model;
  EXPECT_EQ(trec_create_from_image(&leveled.image, three & ~maskOf({"avx2"}), &options, &model, &error),
            TREC_UNSUPPORTED_CPU);
  EXPECT_EQ(error.text(),
            "model \"test\" was compiled for x86-64-v4, x86-64-v3; this machine is x86-64-v2 and lacks avx2");
  EXPECT_EQ(model, nullptr);
}

TEST(CPUFeatures, UnknownFeatureIsNotAssumed) {
  LeveledImage leveled({{"future", uint64_t(1) << 63}});
  Error error;
  EXPECT_EQ(trec_choose_level(&leveled.image, trec_cpu_features(), &error), nullptr);
  EXPECT_THAT(error.text(), HasSubstr("lacks an unknown feature"));
}

TEST(CPUFeatures, ManyLevelsFitTheMessage) {
  LeveledImage leveled(std::vector<std::pair<const char *, uint64_t>>(40, {"x86-64-v4", ~uint64_t(0)}));
  Error error;
  EXPECT_EQ(trec_choose_level(&leveled.image, 0, &error), nullptr);
  EXPECT_THAT(error.text(), HasSubstr("this machine is x86-64-v1 and lacks sse3"));
}
