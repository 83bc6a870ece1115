// Parameters that are not the model's, and batches that ask for more positions than have weights.
#include "Variants.h"

using namespace trectest;

namespace {

struct BadMembers {
  const char *name;
  std::string members, message;
};

/// What CTest calls the test by; gtest's own way out is a dump of the bytes, pointers included.
void PrintTo(const BadMembers &members, std::ostream *out) { *out << members.name; }

std::string p1(const std::string &description) {
  return "\"p1\":" + description + "," + parameterMembers().substr(parameterMembers().find("\"p2\""));
}

std::string p2(const std::string &description) {
  return parameterMembers().substr(0, parameterMembers().find("\"p2\"")) + "\"p2\":" + description + ",";
}

class ParametersRefuse : public testing::TestWithParam<BadMembers> {};

} // namespace

TEST_P(ParametersRefuse, WithItsReason) {
  ParameterImage image;
  Error error;
  EXPECT_EQ(tryMemory(parameterFile(GetParam().members), error, image), TREC_WEIGHTS_MISMATCH);
  EXPECT_EQ(error.text(), "weights in memory: " + GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Files, ParametersRefuse,
    testing::Values(BadMembers{"Missing", "", "no tensor for parameter \"p1\" among its 2 tensors"},
                    BadMembers{"NoFields", p1("{}"),
                               "parameter \"p1\": expected one dtype, shape and data_offsets each at byte 14"},
                    BadMembers{"Bytes", p1(R"({"dtype":"U8","shape":[12],"data_offsets":[320,332]})"),
                               "parameter \"p1\": dtype is \"U8\", expected \"F32\""},
                    BadMembers{"FloatMap", p2(R"({"dtype":"F32","shape":[12],"data_offsets":[332,380]})"),
                               "parameter \"p2\": dtype is \"F32\", expected \"I32\""},
                    BadMembers{"TwoDimensions", p1(R"({"dtype":"F32","shape":[1,3],"data_offsets":[320,332]})"),
                               "parameter \"p1\": shape is [1,3], expected [elements]"},
                    BadMembers{"NoDimension", p1(R"({"dtype":"F32","shape":[],"data_offsets":[320,324]})"),
                               "parameter \"p1\": shape is [], expected [elements]"},
                    BadMembers{"Short", p1(R"({"dtype":"F32","shape":[2],"data_offsets":[320,328]})"),
                               "parameter \"p1\" has 2 elements, expected 3"},
                    BadMembers{"Long", p2(R"({"dtype":"I32","shape":[13],"data_offsets":[328,380]})"),
                               "parameter \"p2\" has 13 elements, expected 12"},
                    BadMembers{"BytesDoNotFit", p1(R"({"dtype":"F32","shape":[3],"data_offsets":[320,331]})"),
                               "parameter \"p1\": shape [3, 4] does not fit data_offsets [320, 331]"},
                    BadMembers{"BeyondEnd", p2(R"({"dtype":"I32","shape":[12],"data_offsets":[336,384]})"),
                               "truncated: parameter \"p2\" ends at byte 384 of the data, but there are only 380"},
                    BadMembers{"MapBeyondTable", p2(R"({"dtype":"I32","shape":[12],"data_offsets":[320,368]})"),
                               "parameter \"p2\" maps id 0 to row 1073741824, but table \"t1\" has 10 rows"}),
    [](const auto &info) { return info.param.name; });

TEST(ParametersError, OnlyWithTables) {
  ParameterImage image;
  ParameterTables tables;
  const std::string file = parameterFile(), message = "parameters given without tables: expected both or neither";
  trec_create_options options = {};
  options.weights_data = file.data();
  options.weights_bytes = file.size();
  Error error;
  options.parameters = tables.parameters;
  EXPECT_EQ(tryCreate(options, error, image), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(error.text(), message);
  options.parameters = nullptr;
  options.num_parameters = 2;
  EXPECT_EQ(tryCreate(options, error, image), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(error.text(), message);
}

TEST(ParametersError, NumberOfThem) {
  ParameterImage image;
  ParameterTables tables;
  Error error;
  trec_create_options options = tables.options();
  options.num_parameters = 1;
  EXPECT_EQ(tryCreate(options, error, image), TREC_WEIGHTS_MISMATCH);
  EXPECT_EQ(error.text(), "1 parameters given, expected 2");
  EXPECT_EQ(tryCreate(options, error), TREC_WEIGHTS_MISMATCH);
  EXPECT_EQ(error.text(), "1 parameters given, expected 0");
  options.num_parameters = 2;
  options.parameters = nullptr;
  EXPECT_EQ(tryCreate(options, error, image), TREC_WEIGHTS_MISMATCH);
  EXPECT_EQ(error.text(), "0 parameters given, expected 2");
  options.size = offsetof(trec_create_options, parameters);
  trec_model *model;
  EXPECT_EQ(trec_create_from_image(&image.image, 0, &options, &model, &error), TREC_WEIGHTS_MISMATCH);
  EXPECT_EQ(error.text(), "0 parameters given, expected 2");
}

TEST(ParametersError, PointersAreCheckedAgainstTheModel) {
  ParameterImage image;
  ParameterTables tables;
  Error error;
  tables.parameters[0].rows = 4;
  EXPECT_EQ(tryCreate(tables.options(), error, image), TREC_WEIGHTS_MISMATCH);
  EXPECT_EQ(error.text(), "caller's parameters: parameter \"p1\" has 4 elements, expected 3");
  EXPECT_EQ(error.value, 4);
  EXPECT_EQ(error.limit, 3);
  tables.parameters[0] = {tables.weights.data(), 3, 8};
  EXPECT_EQ(tryCreate(tables.options(), error, image), TREC_WEIGHTS_MISMATCH);
  EXPECT_EQ(error.text(), "caller's parameters: parameter \"p1\" has elements of 8 bytes, expected 4");
  tables.parameters[0] = {nullptr, 3, 4};
  EXPECT_EQ(tryCreate(tables.options(), error, image), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(error.text(), "caller's parameters: parameter \"p1\" has 3 elements at null");
}

TEST(ParametersError, MapsLeadToRowsOrNowhere) {
  ParameterImage image;
  ParameterTables tables;
  Error error;
  for (int32_t row : {T1_ROWS + 0, -2, INT32_MIN}) {
    tables.map[7] = row;
    EXPECT_EQ(tryCreate(tables.options(), error, image), TREC_WEIGHTS_MISMATCH);
    EXPECT_EQ(error.text(), "caller's parameters: parameter \"p2\" maps id 7 to row " + std::to_string(row) +
                                ", but table \"t1\" has 10 rows");
    EXPECT_EQ(error.table, 0);
    EXPECT_EQ(error.value, row);
    EXPECT_EQ(error.limit, T1_ROWS);
  }
}

// f1 is the second key here, so that the sample is not the place in the lengths.
TEST(ParametersError, BagLongerThanItsWeights) {
  ParameterImage image;
  ParameterTables tables;
  const int32_t slots[] = {1, 0, 2};
  for (int32_t threads : {1, 4}) {
    trec_create_options options = tables.options();
    options.threads = threads;
    Model model(options, image);
    Batch batch({{{1, 2, 3, 4, 5}, {}, {}}, {{1, 2, 3}, {}, {4, 5, 6, 7}}, {{0, 0, 0, 0}, {}, {}}});
    trec_forward_args args = batch.args();
    args.slots = slots;
    Error error;
    EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_INVALID_INPUT);
    EXPECT_EQ(error.text(), "feature \"f1\", sample 2: 4 ids, but weights for 3 positions");
    EXPECT_EQ(error.feature, 0);
    EXPECT_EQ(error.sample, 2);
    EXPECT_EQ(error.value, 4);
    EXPECT_EQ(error.limit, 3);
    EXPECT_EQ(model.counters().failed, 1);
    EXPECT_TRUE(std::isnan(batch.output[0])); // no kernel has run
  }
}

TEST(ParametersError, NoPositionHasAWeight) {
  ParameterImage image;
  image.parameters[0].count = 0;
  ParameterTables tables;
  tables.parameters[0] = {nullptr, 0, 4};
  Model model(tables.options(), image);
  Error error;
  Batch empty({{{}}, {{1}}, {{2}}}), batch({{{1}}, {{1}}, {{2}}});
  trec_forward_args args = empty.args();
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK);
  args = batch.args();
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_INVALID_INPUT);
  EXPECT_EQ(error.text(), "feature \"f1\", sample 0: 1 ids, but weights for 0 positions");
}

TEST(ParametersError, SampleWeightsOfAModelWithoutThem) {
  ParameterImage image;
  ParameterTables tables;
  Model model(tables.options(), image);
  Batch batch({{{1}}, {{1}}, {{2}}});
  const float weights[] = {1, 2, 3};
  trec_forward_args args = batch.args();
  args.weights = weights;
  args.num_weights = 3;
  Error error;
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_INVALID_INPUT);
  EXPECT_EQ(error.text(), "weights given, but model \"test\" is not weighted");
}
