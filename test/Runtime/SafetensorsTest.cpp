// The reader of safetensors files: what it accepts, what it refuses and how it says so, and that no damage to a header
// makes it read out of bounds (run under AddressSanitizer for that).
#include "Support.h"

#include <random>

using namespace trectest;

namespace {

struct BadFile {
  const char *name;
  std::string file, message;
};

/// What CTest calls the test by; gtest's own way out is a dump of the bytes, pointers included.
void PrintTo(const BadFile &file, std::ostream *out) { *out << file.name; }

std::string withT1(const std::string &description) {
  return fileOf("{\"t1\":" + description + "," + goodHeader().substr(goodHeader().find("\"t2\"")), goodData());
}

std::string withRoot(const std::string &header) { return fileOf(header, goodData()); }

std::string withLength(uint64_t length, const std::string &rest) {
  return std::string(reinterpret_cast<char *>(&length), sizeof length) + rest;
}

class SafetensorsRefuses : public testing::TestWithParam<BadFile> {};

} // namespace

TEST_P(SafetensorsRefuses, WithItsReason) {
  Error error;
  EXPECT_EQ(tryMemory(GetParam().file, error), TREC_WEIGHTS_MISMATCH);
  EXPECT_THAT(error.text(), HasSubstr("weights in memory: " + GetParam().message));
}

static const std::string notJson = "header is not the JSON of a safetensors file at byte ";
static const std::string fields = "table \"t1\": expected one dtype, shape and data_offsets each at byte 14";

INSTANTIATE_TEST_SUITE_P(
    Files, SafetensorsRefuses,
    testing::Values(
        BadFile{"Empty", "", "not a safetensors file: 0 bytes, expected 8 or more"},
        BadFile{"SevenBytes", "1234567", "not a safetensors file: 7 bytes, expected 8 or more"},
        BadFile{"HugeHeader", withLength(100000001, "{}"),
                "not a safetensors file: header of 100000001 bytes, expected at most 100000000"},
        BadFile{"NegativeHeader", withLength(~uint64_t(0), "{}"),
                "not a safetensors file: header of 18446744073709551615"},
        BadFile{"HeaderBeyondEnd", withLength(100, "{}"),
                "truncated: header ends at byte 108, but there are only 10 bytes"},
        BadFile{"NoHeader", withLength(0, ""), notJson + "8"}, BadFile{"NotJson", withRoot("hello"), notJson + "8"},
        BadFile{"NotAnObject", withRoot("[1, 2]"), notJson}, BadFile{"TwoRoots", withRoot("{} {}"), notJson + "11"},
        BadFile{"NulAfterRoot", withRoot(std::string("{}\0", 3)), notJson + "10"},
        BadFile{"Unclosed", withRoot("{\"t1\":{\"dtype\":\"U8\""), notJson},
        BadFile{"WrongBracket", withRoot("{\"t1\":{]}"), notJson},
        BadFile{"TensorIsNumber", withT1("7"), notJson + "10"},
        BadFile{"NoCommaBetweenTensors", withRoot("{\"a\":{} \"b\":{}}"), notJson},
        BadFile{"TwoCommasBetweenTensors", withRoot("{\"a\":{},,\"b\":{}}"), notJson},
        BadFile{"TrailingComma", withRoot("{\"a\":{},}"), notJson}, BadFile{"NoColon", withRoot("{\"a\" {}}"), notJson},
        BadFile{"BadEscape", withRoot("{\"\\q\":{}}"), notJson},
        BadFile{"HalfSurrogate", withRoot("{\"\\ud800\":{}}"), notJson + "10"},
        BadFile{"SurrogatesApart", withRoot("{\"\\ud83d_ude00\":{}}"), notJson + "10"},
        BadFile{"WrongSurrogatePair", withRoot("{\"\\ud800\\u0041\":{}}"), notJson + "10"},
        BadFile{"NoTensors", withRoot("{}"), "no tensor for table \"t1\" among its 0 tensors"},
        BadFile{"OtherTensors", withRoot("{\"t2\":{},\"t\":{},\"t11\":{}}"),
                "no tensor for table \"t1\" among its 3 tensors"},
        BadFile{"MetadataIsNoTensor", withRoot("{\"__metadata__\":{\"t1\":\"x\"}}"), "no tensor for table \"t1\""},
        BadFile{"SameNameTwice", withRoot("{\"t1\":{},\"x\":{},\"\\u00741\":{}}"), "two tensors are named \"t1\""}),
    [](const auto &info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Tensors, SafetensorsRefuses,
    testing::Values(
        BadFile{"NoFields", withT1("{}"), fields},
        BadFile{"NoDtype", withT1(R"({"shape":[10,16],"data_offsets":[0,160]})"), fields},
        BadFile{"NoShape", withT1(R"({"dtype":"U8","data_offsets":[0,160]})"), fields},
        BadFile{"NoOffsets", withT1(R"({"dtype":"U8","shape":[10,16]})"), fields},
        BadFile{"TwoDtypes", withT1(R"({"dtype":"U8","dtype":"U8","shape":[10,16],"data_offsets":[0,160]})"), fields},
        BadFile{"DtypeIsNumber", withT1(R"({"dtype":8,"shape":[10,16],"data_offsets":[0,160]})"), fields},
        BadFile{"OneOffset", withT1(R"({"dtype":"U8","shape":[10,16],"data_offsets":[160]})"), fields},
        BadFile{"NegativeOffset", withT1(R"({"dtype":"U8","shape":[10,16],"data_offsets":[-1,159]})"), fields},
        BadFile{"OffsetOver64Bits", withT1(R"({"dtype":"U8","shape":[10,16],"data_offsets":[0,18446744073709551616]})"),
                fields},
        BadFile{"OffsetsWithoutComma", withT1(R"({"dtype":"U8","shape":[10,16],"data_offsets":[0 160]})"), fields},
        BadFile{"OffsetsWithTrailingComma", withT1(R"({"dtype":"U8","shape":[10,16],"data_offsets":[0,160,]})"),
                fields},
        BadFile{"OffsetsIsString", withT1(R"({"dtype":"U8","shape":[10,16],"data_offsets":"[0,160]"})"), fields},
        BadFile{"FieldsWithoutComma", withT1(R"({"dtype":"U8" "shape":[10,16],"data_offsets":[0,160]})"), fields},
        BadFile{"WrongDtype", withT1(R"({"dtype":"F32","shape":[10,4],"data_offsets":[0,160]})"),
                "table \"t1\": dtype is \"F32\", expected \"U8\""},
        BadFile{"OneDimension", withT1(R"({"dtype":"U8","shape":[160],"data_offsets":[0,160]})"),
                "table \"t1\": shape is [160], expected [rows, bytes per row]"},
        BadFile{"ThreeDimensions", withT1(R"({"dtype":"U8","shape":[10,4,4],"data_offsets":[0,160]})"),
                "table \"t1\": shape is [10,4,4], expected [rows, bytes per row]"},
        BadFile{"ShapeOver63Bits", withT1(R"({"dtype":"U8","shape":[9223372036854775808,1],"data_offsets":[0,1]})"),
                "table \"t1\": shape is [9223372036854775808,1], expected"},
        BadFile{"ShapeOverflows", withT1(R"({"dtype":"U8","shape":[4611686018427387904,16],"data_offsets":[0,0]})"),
                "table \"t1\": shape [4611686018427387904, 16] does not fit data_offsets [0, 0]"},
        BadFile{"OffsetsTooShort", withT1(R"({"dtype":"U8","shape":[10,16],"data_offsets":[0,159]})"),
                "table \"t1\": shape [10, 16] does not fit data_offsets [0, 159]"},
        BadFile{"OffsetsReversed", withT1(R"({"dtype":"U8","shape":[10,16],"data_offsets":[160,0]})"),
                "table \"t1\": shape [10, 16] does not fit data_offsets [160, 0]"},
        BadFile{"BeyondEnd", withT1(R"({"dtype":"U8","shape":[10,16],"data_offsets":[161,321]})"),
                "truncated: table \"t1\" ends at byte 321 of the data, but there are only 320"},
        BadFile{"EndOverflows",
                withT1(R"({"dtype":"U8","shape":[10,16],"data_offsets":[18446744073709551455,18446744073709551615]})"),
                "truncated: table \"t1\" ends at byte 18446744073709551615 of the data"},
        BadFile{"WrongRows", withT1(R"({"dtype":"U8","shape":[9,16],"data_offsets":[0,144]})"),
                "table \"t1\" has 9 rows, expected 10"},
        BadFile{"WrongRowBytes", withT1(R"({"dtype":"U8","shape":[10,8],"data_offsets":[0,80]})"),
                "table \"t1\" has rows of 8 bytes, expected 16"}),
    [](const auto &info) { return info.param.name; });

TEST(Safetensors, NumbersOfAMismatchAreInTheError) {
  Error error;
  std::string header = goodHeader();
  header.replace(header.find("[20,8]"), 6, "[10,16]");
  EXPECT_EQ(tryMemory(fileOf(header, goodData()), error), TREC_WEIGHTS_MISMATCH);
  EXPECT_EQ(error.table, 1);
  EXPECT_EQ(error.value, 10);
  EXPECT_EQ(error.limit, 20);
  EXPECT_EQ(error.feature, -1);
}

TEST(Safetensors, EveryTruncationIsRefused) {
  const std::string file = goodFile();
  for (size_t size = 0; size < file.size(); ++size) {
    Error error;
    EXPECT_EQ(tryMemory(file.substr(0, size), error), TREC_WEIGHTS_MISMATCH) << size;
  }
}

TEST(Safetensors, OtherSpellingsAreAccepted) {
  const char *const good[] = {
      // metadata, extra tensors of any kind, unknown fields, free order and white space
      R"("__metadata__":{"format":"pt"},)",
      R"("other":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)",
      R"("other":{"anything":[1,{"x":null}]},)",
      "\n\t\"\\u00e9\\ud83d\\ude00\\n\" : { } ,",
  };
  for (const char *prefix : good) {
    Error error;
    EXPECT_EQ(tryMemory(fileOf(goodHeader(prefix), goodData()), error), TREC_OK) << error.message;
  }
  Error error;
  EXPECT_EQ(tryMemory(fileOf("{ \"\\u0074\\u0031\" : {\"data_offsets\":[ 0 , 160 ], \"new\":{}, \"shape\":[10,16],\r\n"
                             "\"dtype\":\"U8\"}," +
                                 goodHeader().substr(goodHeader().find("\"t2\"")),
                             goodData()),
                      error),
            TREC_OK)
      << error.message;
}

// Each escape decodes to the table's name, in UTF-8 of one to four bytes.
TEST(Safetensors, EscapedNamesAreFound) {
  const std::pair<std::string, std::string> names[] = {
      {"a\"b\\c/d", R"(a\"b\\c\/d)"}, {"\b\f\n\r\t", R"(\b\f\n\r\t)"},        {"\xc3\xa9", "\\u00e9"},
      {"\xe2\x82\xac", "\\u20AC"},    {"\xf0\x9f\x98\x80", "\\uD83D\\ude00"}, {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"}};
  for (const auto &[name, spelt] : names) {
    std::string strings = std::string("f\0", 2) + name;
    trec_table_desc table = ::trec_image.tables[0];
    struct trec_image image = ::trec_image;
    table.name = 2;
    image.strings = strings.c_str();
    image.tables = &table;
    image.num_tables = 1;
    image.num_bags = 1;
    Error error;
    EXPECT_EQ(tryMemory(fileOf("{\"" + spelt + "\":{\"dtype\":\"U8\",\"shape\":[10,16],\"data_offsets\":[0,160]}}",
                               goodData()),
                        error, image),
              TREC_OK)
        << error.message;
  }
}

// Control characters and length are tamed: a message is one line that fits.
TEST(Safetensors, StrangeNamesStayReadable) {
  Error error;
  EXPECT_EQ(tryMemory(withRoot(R"({"a\nb":{},"a\nb":{}})"), error), TREC_WEIGHTS_MISMATCH);
  EXPECT_THAT(error.text(), HasSubstr("named \"a?b\""));
  // Cut at the start, the middle and the end of a character of three bytes.
  const std::string character = "\xe2\x82\xac";
  for (const std::string ends : {"", "a", "ab"}) {
    std::string name = ends;
    for (int i = 0; i < 200; ++i)
      name += character;
    name += ends;
    EXPECT_EQ(tryMemory(withRoot("{\"" + name + "\":{},\"" + name + "\":{}}"), error), TREC_WEIGHTS_MISMATCH);
    std::string rest = error.text();
    EXPECT_LT(rest.size(), 200u);
    EXPECT_THAT(rest, HasSubstr(character + "..." + character));
    for (size_t at; (at = rest.find(character)) != std::string::npos;)
      rest.erase(at, character.size());
    EXPECT_THAT(rest, testing::Each(testing::Gt('\0'))) << "half a character is left";
  }
}

/// Creates from a copy of the exact size and, where that works, reads the last row of each table, so that a sanitizer
/// sees any step beyond the file.
static bool readsAll(const std::string &file) {
  std::vector<char> bytes(file.begin(), file.end());
  trec_create_options options = {};
  options.size = sizeof options;
  options.weights_data = bytes.data();
  options.weights_bytes = bytes.size();
  Error error;
  trec_model *model;
  const int32_t status = trec_runtime_create(&options, &model, &error);
  EXPECT_EQ(error.text().empty(), status == TREC_OK);
  EXPECT_EQ(model == nullptr, status != TREC_OK);
  if (!model)
    return false;
  Batch batch({{{9}}, {{19}}, {{0}}});
  trec_forward_args args = batch.args();
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK) << error.message;
  trec_runtime_destroy(model);
  return true;
}

// One to three edits to the header: bytes changed, dropped or doubled. Whatever comes out is read or refused.
TEST(Safetensors, DamagedHeadersAreReadOrRefused) {
  std::mt19937 random(7);
  const std::string alphabet = "{}[]\",:\\u0123456789abdft -\n";
  const std::string header = goodHeader(R"("__metadata__":{"a\u00e9":"b"},)");
  int accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string damaged = header;
    for (int edits = 1 + random() % 3; edits > 0; --edits) {
      const size_t at = random() % damaged.size();
      switch (random() % 4) {
      case 0:
        damaged[at] = alphabet[random() % alphabet.size()];
        break;
      case 1:
        damaged[at] = static_cast<char>(random());
        break;
      case 2:
        damaged.erase(at, 1 + random() % 4);
        break;
      case 3:
        damaged.insert(at, damaged.substr(random() % damaged.size(), 1 + random() % 8));
        break;
      }
    }
    accepted += readsAll(fileOf(damaged, goodData()));
  }
  EXPECT_GT(accepted, 0);
  EXPECT_LT(accepted, 10000);
}

// Ten thousand tables, looked up by name: quadratic behaviour would show as seconds.
TEST(Safetensors, ManyTensors) {
  const int count = 10000;
  std::string header = "{", strings;
  std::vector<trec_table_desc> tables;
  for (int i = 0; i < count; ++i) {
    const std::string name = "table" + std::to_string(i * 7919 % count);
    header += (i ? ",\"" : "\"") + name + "\":{\"dtype\":\"U8\",\"shape\":[1,16],\"data_offsets\":[0,16]}";
    tables.push_back({static_cast<int64_t>(strings.size()), 1, 16, 4, TREC_WEIGHTS_FP32});
    strings += "table" + std::to_string(i) + '\0';
  }
  struct trec_image image = ::trec_image;
  image.strings = strings.data();
  image.tables = tables.data();
  image.num_tables = count;
  image.num_bags = 0;
  Error error;
  EXPECT_EQ(tryMemory(fileOf(header + "}", goodData()), error, image), TREC_OK) << error.message;
}
