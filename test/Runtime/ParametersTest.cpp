// Parameters: where they come from, and which weights and maps the kernels of a model with them see.
#include "Variants.h"

#include <fcntl.h>
#include <unistd.h>

using namespace trectest;

namespace {

const Ids sampleIds = {{{1, 9, 2}, {}}, {{19}, {0, 3, 3, 1}}, {{-1, 1}, {2, 11, 6, 0}}};

void expectForwardWorks(trec_model *model) {
  Batch batch(sampleIds);
  Error error;
  trec_forward_args args = batch.args();
  ASSERT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK) << error.message;
  EXPECT_EQ(batch.output, expectedWithParameters(sampleIds));
}

trec_create_options memoryOptions(const std::string &file) {
  trec_create_options options = {};
  options.weights_data = file.data();
  options.weights_bytes = file.size();
  return options;
}

trec_create_options pathOptions(const TemporaryFile &file) {
  trec_create_options options = {};
  options.weights_path = file.path();
  return options;
}

/// Writes the parameters of a file with none, whose data end it.
void overwriteParameters(const TemporaryFile &file) {
  const int descriptor = open(file.path(), O_WRONLY);
  const off_t end = lseek(descriptor, 0, SEEK_END);
  EXPECT_EQ(pwrite(descriptor, positionWeights, 12, end - 60), 12);
  EXPECT_EQ(pwrite(descriptor, rowMap, 48, end - 48), 48);
  close(descriptor);
}

std::string withoutParameters(std::string file) { return file.replace(file.size() - 60, 60, 60, '\0'); }

} // namespace

TEST(Parameters, FromMemoryAndPath) {
  ParameterImage image;
  const std::string bytes = parameterFile();
  TemporaryFile file(bytes);
  expectForwardWorks(Model(memoryOptions(bytes), image));
  expectForwardWorks(Model(pathOptions(file), image));
}

TEST(Parameters, Embedded) {
  ParameterImage image;
  const std::string bytes = parameterFile();
  image.image.weights = bytes.data();
  image.image.weights_bytes = static_cast<int64_t>(bytes.size());
  trec_create_options options = {};
  options.size = sizeof options;
  trec_model *model;
  ASSERT_EQ(trec_create_from_image(&image.image, 0, &options, &model, nullptr), TREC_OK);
  expectForwardWorks(model);
  trec_runtime_destroy(model);
}

TEST(Parameters, FromPointersAndEditedInPlace) {
  ParameterImage image;
  ParameterTables tables;
  tables.weights.assign(NUM_POSITIONS, 7);
  tables.map.assign(NUM_MAPPED, 0);
  Model model(tables.options(), image);
  std::copy(positionWeights, positionWeights + NUM_POSITIONS, tables.weights.begin());
  std::copy(rowMap, rowMap + NUM_MAPPED, tables.map.begin());
  expectForwardWorks(model);
}

// A mapping follows its file, a copy does not.
TEST(Parameters, AlignedFileIsSharedNotCopied) {
  ParameterImage image;
  for (size_t misalignment : {0, 4}) {
    TemporaryFile file(withoutParameters(parameterFile(parameterMembers(), misalignment)));
    Model model(pathOptions(file), image);
    overwriteParameters(file);
    expectForwardWorks(model);
  }
}

TEST(Parameters, MisalignedFileIsCopied) {
  ParameterImage image;
  for (size_t misalignment : {1, 2, 3}) {
    const std::string bytes = parameterFile(parameterMembers(), misalignment);
    TemporaryFile file(bytes);
    Model model(pathOptions(file), image);
    const int descriptor = open(file.path(), O_WRONLY);
    EXPECT_EQ(pwrite(descriptor, std::string(60, '\7').data(), 60, static_cast<off_t>(bytes.size()) - 60), 60);
    close(descriptor);
    expectForwardWorks(model);
  }
}

TEST(Parameters, MisalignedMemoryIsCopied) {
  ParameterImage image;
  const std::string bytes = parameterFile();
  for (size_t shift : {1, 2, 3}) {
    const std::string shifted = std::string(shift, ' ') + bytes;
    trec_create_options options = memoryOptions(shifted);
    options.weights_data = shifted.data() + shift;
    options.weights_bytes -= shift;
    expectForwardWorks(Model(options, image));
    ParameterTables tables;
    const std::string ends = shifted.substr(0, shift) + bytes.substr(bytes.size() - 60);
    tables.parameters[0].data = ends.data() + shift;
    tables.parameters[1].data = ends.data() + shift + 12;
    expectForwardWorks(Model(tables.options(), image));
  }
}

TEST(Parameters, AreNotNeededWithoutAny) {
  ParameterTables tables;
  trec_create_options options = tables.options();
  options.num_parameters = 0;
  Error error;
  EXPECT_EQ(tryCreate(options, error), TREC_OK);
  options.parameters = nullptr;
  EXPECT_EQ(tryCreate(options, error), TREC_OK);
  EXPECT_EQ(tryMemory(parameterFile(), error), TREC_OK);
}

TEST(Parameters, SampleWeightsGoToTheOtherFeatures) {
  ParameterImage image;
  image.image.weighted = 1;
  const std::string file = parameterFile();
  Model model(memoryOptions(file), image);
  Batch batch(sampleIds);
  std::vector<float> weights(batch.values64.size());
  for (size_t i = 0; i < weights.size(); ++i)
    weights[i] = 0.25f * static_cast<float>(i + 1);
  trec_forward_args args = batch.args();
  args.weights = weights.data();
  args.num_weights = static_cast<int64_t>(weights.size());
  Error error;
  ASSERT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK) << error.message;
  EXPECT_EQ(batch.output, expectedWithParameters(sampleIds, weights));
}

TEST(Parameters, SameResultAtAnyNumberOfThreads) {
  ParameterImage image;
  const std::string file = parameterFile();
  const Ids ids = randomIds(3, 3000, NUM_POSITIONS);
  for (int32_t threads : {1, 3, 8}) {
    trec_create_options options = memoryOptions(file);
    options.threads = threads;
    Model model(options, image);
    Batch batch(ids);
    const trec_forward_args args = batch.args();
    ASSERT_EQ(trec_runtime_forward(model, &args, nullptr), TREC_OK);
    EXPECT_EQ(batch.output, expectedWithParameters(ids));
  }
}

TEST(Parameters, BadIdOfAPrunedTableIsHeldAgainstItsMap) {
  ParameterImage image;
  const std::string file = parameterFile();
  const Ids ids = {{{1}}, {{2}}, {{11, 12}}};
  Error error;
  Batch batch(ids);
  const trec_forward_args args = batch.args();
  trec_create_options options = memoryOptions(file);
  options.bounds_check = TREC_BOUNDS_FATAL;
  Model fatal(options, image);
  EXPECT_EQ(trec_runtime_forward(fatal, &args, &error), TREC_OUT_OF_BOUNDS);
  EXPECT_EQ(error.text(), "id out of bounds: feature \"f3\", table \"t1\", sample 0, position 1: id 12, "
                          "expected -1 or 0 to 11 (map of a pruned table of 12 rows)");
  EXPECT_EQ(error.limit, NUM_MAPPED);
  options.bounds_check = TREC_BOUNDS_IGNORE;
  Model ignoring(options, image);
  EXPECT_EQ(trec_runtime_forward(ignoring, &args, &error), TREC_OK);
  EXPECT_EQ(batch.output, expectedWithParameters(ids));
}

// Entry 0 must be readable, and then lead to no row.
TEST(Parameters, EmptyMap) {
  ParameterImage image;
  image.parameters[1].count = 0;
  ParameterTables tables;
  tables.parameters[1] = {nullptr, 0, 4};
  trec_create_options options = tables.options();
  options.bounds_check = TREC_BOUNDS_IGNORE;
  Model model(options, image);
  Batch batch({{{1}}, {{2}}, {{0, 5}}});
  const trec_forward_args args = batch.args();
  ASSERT_EQ(trec_runtime_forward(model, &args, nullptr), TREC_OK);
  EXPECT_EQ(batch.output, expectedWithParameters({{{1}}, {{2}}, {{}}}));
  EXPECT_EQ(model.counters().bad_ids, 2);
}
