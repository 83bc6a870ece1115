// The exactness certificate: which length comes out of which scales and biases, for which sources of weights it is
// looked for, and that kernels are told.
#include "Support.h"

#include <cmath>
#include <limits>
#include <random>

using namespace trectest;

namespace {

uint16_t half(float value) {
  const _Float16 rounded = static_cast<_Float16>(value);
  EXPECT_EQ(static_cast<float>(rounded), value) << "a test means numbers that are half floats";
  uint16_t bits;
  std::memcpy(&bits, &rounded, sizeof bits);
  return bits;
}

struct Header {
  uint16_t scale, bias;
};

Header header(float scale, float bias) { return {half(scale), half(bias)}; }

int64_t toldLength;
double toldOffset;
void noteLength(const trec_bag_args *args, int64_t, int64_t) {
  toldLength = args->certified_length;
  toldOffset = args->certified_offset;
}
const trec_kernel noting[] = {noteLength, noteLength, noteLength, noteLength};

constexpr int DIM = 4, ROW_BYTES = 8;

/// One feature through a table of rows of so many headers, whose codes do not matter; its own memory.
struct Coded {
  Coded(std::vector<Header> headers, int64_t type = TREC_WEIGHTS_INT8)
      : headers(std::move(headers)), image(trec_image) {
    for (const Header &row : this->headers) {
      bytes.append(reinterpret_cast<const char *>(&row), sizeof row);
      bytes.append(ROW_BYTES - sizeof row, '\x7f');
    }
    const auto rows = static_cast<int64_t>(this->headers.size());
    table = {trec_image.tables[0].name, -1, ROW_BYTES, DIM, type};
    data = {bytes.data(), rows, ROW_BYTES};
    image.tables = &table;
    image.num_tables = 1;
    image.bags = &bag;
    image.num_bags = 1;
    level = image.levels[0];
    level.kernels = noting;
    image.levels = &level;
    image.total_dim = DIM;
  }
  Coded(const Coded &) = delete;

  trec_create_options own(int32_t exactness) const {
    trec_create_options options = {};
    options.tables = &data;
    options.num_tables = 1;
    options.exactness = exactness;
    return options;
  }
  std::string file() const {
    return fileOf(R"({"t1":{"dtype":"U8","shape":[)" + std::to_string(headers.size()) + ",8],\"data_offsets\":[0," +
                      std::to_string(bytes.size()) + "]}}",
                  bytes);
  }
  int64_t length() const {
    Model model(own(TREC_EXACTNESS_CHECK), image);
    return trec_runtime_certified_length(model, 0);
  }

  std::vector<Header> headers;
  std::string bytes;
  trec_table_desc table;
  trec_bag_desc bag = {0, 0, 0, 0, 0, 0, 0, 0, 1};
  trec_level_desc level;
  trec_table_data data;
  struct trec_image image;
};

/// The bound in another arithmetic: the longest n with n * r <= 2^24 * u in long doubles, all of which are exact.
long double lowestBit(float value) {
  int exponent;
  std::frexp(value, &exponent);
  long double bit = std::ldexp(1.0L, exponent - 24);
  while (std::fmod(static_cast<long double>(value), 2 * bit) == 0)
    bit *= 2;
  return bit;
}

/// What the sums on the way have of each row.
struct Parts {
  struct Row {
    long double code, bias;
  };
  std::vector<Row> rows;

  long double largest(long double offset) const {
    long double result = std::fabs(offset);
    for (const Row &row : rows)
      for (long double part : {row.bias, row.code + row.bias, row.code - offset, row.bias + offset})
        result = std::max(result, std::fabs(part));
    return result;
  }
  /// Half of the widest range of codes, down to a multiple of `unit`.
  long double middle(long double unit) const {
    long double low = 0, high = 0;
    for (const Row &row : rows) {
      low = std::min(low, row.code);
      high = std::max(high, row.code);
    }
    return std::trunc((low + high) / 2 / unit) * unit;
  }
};

} // namespace

TEST(Exactness, LengthIsTheLargestThatTheProofAllows) {
  // u = 2^-10 and r = 255 * 2^-10 + 1 = 1279 * 2^-10: 2^24 / 1279.
  EXPECT_EQ(Coded({header(0x1p-10f, 1)}).length(), (1 << 24) / 1279);
  EXPECT_EQ(Coded({header(-0x1p-10f, -1)}).length(), (1 << 24) / 1279);
  // A code and a bias of opposite signs: r = 1.
  EXPECT_EQ(Coded({header(0x1p-10f, -1)}).length(), (1 << 24) / 1024);
  EXPECT_EQ(Coded({header(-0x1p-10f, 1)}).length(), (1 << 24) / 1024);
  // Codes of 4 and 2 bits are smaller.
  EXPECT_EQ(Coded({header(0x1p-10f, 1)}, TREC_WEIGHTS_INT4).length(), (1 << 24) / (15 + 1024));
  EXPECT_EQ(Coded({header(0x1p-10f, 1)}, TREC_WEIGHTS_INT2).length(), (1 << 24) / (3 + 1024));
  // The largest row, not the largest scale with the largest bias.
  EXPECT_EQ(Coded({header(1, 0), header(0x1p-10f, 1)}).length(), (1 << 24) / (255 * 1024));
  // The lowest bit of any row: of 1 + 2^-10.
  EXPECT_EQ(Coded({header(1, 0), header(0, 1 + 0x1p-10f)}).length(), (1 << 24) / (255 * 1024));
}

TEST(Exactness, EdgesOfHalfFloats) {
  const uint16_t smallest = 1, largest = 0x7bff, infinity = 0x7c00, nan = 0x7e01, minusInfinity = 0xfc00;
  // Subnormals: u is 2^-24.
  EXPECT_EQ(Coded({{smallest, 0}}).length(), (1 << 24) / 255);
  EXPECT_EQ(Coded({{0, smallest}}).length(), 1 << 24);
  EXPECT_EQ(Coded({{0x03ff, 0x83ff}}).length(), (1 << 24) / (254 * 1023));
  // 65504 is 2047 * 2^5.
  EXPECT_EQ(Coded({{largest, largest}}).length(), (1 << 24) / (256 * 2047));
  // Together their bits are too far apart for a bag of any length.
  EXPECT_EQ(Coded({{largest, smallest}}).length(), 0);
  EXPECT_EQ(Coded({{infinity, 0}}).length(), 0);
  EXPECT_EQ(Coded({{0, minusInfinity}}).length(), 0);
  EXPECT_EQ(Coded({header(1, 1), {nan, nan}, header(1, 1)}).length(), 0);
  // Zeros of both signs bound nothing, nor does a table without rows.
  EXPECT_EQ(Coded({{0, 0x8000}}).length(), INT64_MAX);
  EXPECT_EQ(Coded({}).length(), INT64_MAX);
  // The highest u: powers of two.
  EXPECT_EQ(Coded({{0, half(32768)}}).length(), 1 << 24);
}

TEST(Exactness, SumsBeginBelowZero) {
  // Codes from 0 to 255 are as far from 127 as values from -127 to 128 are from 0.
  Coded coded({header(1, -127)});
  EXPECT_EQ(coded.length(), (1 << 24) / 128);
  const Model model(coded.own(TREC_EXACTNESS_CHECK), coded.image);
  const Batch batch({{{0}}, {{}}, {{}}});
  const trec_forward_args args = batch.args();
  Error error;
  EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK) << error.text();
  EXPECT_EQ(toldLength, (1 << 24) / 128);
  EXPECT_EQ(toldOffset, 127);
  // Nothing is gained where biases are above zero too: the value of a row is the largest number.
  EXPECT_EQ(Coded({header(1, 127)}).length(), (1 << 24) / 382);
}

TEST(Exactness, NoLengthIsBelowFour) {
  // A row is some 255 * 2^14 * u where u is the bias, and 4 of them are below 2^24 * u; half of that u is too small.
  EXPECT_EQ(Coded({header(16, 0x1p-10f)}).length(), (1 << 24) / (255 * 16 * 1024 + 1));
  EXPECT_EQ(Coded({header(16, 0x1p-10f)}).length(), 4);
  EXPECT_EQ(Coded({header(16, 0x1p-11f)}).length(), 0);
}

TEST(Exactness, EveryRowIsRead) {
  // Rows are read in blocks; one row of many shortens the length wherever it is.
  for (size_t odd : {0, 1, 4095, 4096, 4097, 9999}) {
    std::vector<Header> headers(10000, header(0x1p-10f, 1));
    headers[odd] = header(0x1p-11f, 1);
    EXPECT_EQ(Coded(headers).length(), (1 << 24) / (255 * 2 + 2048)) << odd;
    headers[odd] = {0, 0x7c00};
    EXPECT_EQ(Coded(headers).length(), 0) << odd;
  }
}

TEST(Exactness, RandomHeadersGiveTheBoundOfTheProof) {
  std::mt19937_64 random(5);
  for (int trial = 0; trial < 300; ++trial) {
    std::vector<Header> headers;
    long double unit = INFINITY;
    Parts parts;
    const uint16_t mask = random() % 3 ? 0xffff : 0xff80; // some have short fractions
    for (size_t i = 0, count = 1 + random() % 20; i < count; ++i) {
      const auto finite = [&] { return static_cast<uint16_t>((random() % 0x7800 & mask) | (random() % 2) << 15); };
      headers.push_back({finite(), finite()});
      _Float16 numbers[2];
      std::memcpy(numbers, &headers.back(), sizeof numbers);
      const auto scale = static_cast<float>(numbers[0]), bias = static_cast<float>(numbers[1]);
      for (float number : {scale, bias})
        if (number != 0)
          unit = std::min(unit, lowestBit(std::fabs(number)));
      parts.rows.push_back({255.0L * scale, bias});
    }
    const int64_t length = Coded(headers).length();
    if (std::isinf(unit))
      continue;
    const long double row = std::min(parts.largest(0), parts.largest(parts.middle(unit)));
    if (row * 4 > 0x1p24L * unit) {
      EXPECT_EQ(length, 0) << trial;
      continue;
    }
    EXPECT_LE(static_cast<long double>(length) * row, 0x1p24L * unit) << trial;
    EXPECT_GT(static_cast<long double>(length + 1) * row, 0x1p24L * unit) << trial;
  }
}

TEST(Exactness, AutoLooksWhereTheCallerCannotEdit) {
  const Coded coded({header(0x1p-10f, 1)});
  const int64_t length = coded.length();
  const auto lengthOf = [&](trec_create_options options, const struct trec_image &image) {
    Error error;
    trec_model *model;
    options.size = sizeof options;
    EXPECT_EQ(trec_create_from_image(&image, 0, &options, &model, &error), TREC_OK) << error.text();
    const int64_t found = trec_runtime_certified_length(model, 0);
    trec_runtime_destroy(model);
    return found;
  };
  // Rows in the caller's memory.
  EXPECT_EQ(lengthOf(coded.own(TREC_EXACTNESS_AUTO), coded.image), 0);
  EXPECT_EQ(lengthOf(coded.own(TREC_EXACTNESS_OFF), coded.image), 0);
  const std::string bytes = coded.file();
  trec_create_options memory = {};
  memory.weights_data = bytes.data();
  memory.weights_bytes = bytes.size();
  EXPECT_EQ(lengthOf(memory, coded.image), 0);
  memory.exactness = TREC_EXACTNESS_CHECK;
  EXPECT_EQ(lengthOf(memory, coded.image), length);
  // A file, and weights in the image.
  const TemporaryFile file(bytes);
  trec_create_options path = {};
  path.weights_path = file.path();
  EXPECT_EQ(lengthOf(path, coded.image), length);
  path.exactness = TREC_EXACTNESS_OFF;
  EXPECT_EQ(lengthOf(path, coded.image), 0);
  struct trec_image embedded = coded.image;
  embedded.weights = bytes.data();
  embedded.weights_bytes = static_cast<int64_t>(bytes.size());
  EXPECT_EQ(lengthOf({}, embedded), length);
}

TEST(Exactness, AutoLeavesLargeFilesAlone) {
  const Coded coded(std::vector<Header>(TREC_EXACTNESS_BYTES / ROW_BYTES + 1, header(0x1p-10f, 1)));
  const TemporaryFile file(coded.file());
  trec_create_options options = {};
  options.weights_path = file.path();
  EXPECT_EQ(trec_runtime_certified_length(Model(options, coded.image), 0), 0);
  // But for those that it has to read anyway.
  options.pages = TREC_PAGES_HUGE;
  EXPECT_EQ(trec_runtime_certified_length(Model(options, coded.image), 0), coded.length());
  options.pages = TREC_PAGES_MAP;
  options.exactness = TREC_EXACTNESS_CHECK;
  EXPECT_EQ(trec_runtime_certified_length(Model(options, coded.image), 0), coded.length());
}

TEST(Exactness, OnlyForTablesWhoseKernelsAsk) {
  Coded coded({header(0x1p-10f, 1)});
  coded.bag.certified = 0;
  EXPECT_EQ(coded.length(), 0);
  // Rows of floats have no certificate, whatever a kernel asks for.
  EXPECT_EQ(Coded({header(0x1p-10f, 1)}, TREC_WEIGHTS_FP16).length(), 0);
}

TEST(Exactness, IsRenewedAfterAnEdit) {
  Coded coded({header(0x1p-10f, 1)});
  Model model(coded.own(TREC_EXACTNESS_AUTO), coded.image);
  const auto forward = [&] {
    const Batch batch({{{0}}, {{}}, {{}}});
    const trec_forward_args args = batch.args();
    Error error;
    EXPECT_EQ(trec_runtime_forward(model, &args, &error), TREC_OK) << error.text();
    return toldLength;
  };
  EXPECT_EQ(forward(), 0);
  Error error;
  EXPECT_EQ(trec_runtime_check_exactness(model, &error), TREC_OK);
  EXPECT_EQ(error.status, TREC_OK);
  EXPECT_EQ(forward(), coded.length());
  const Header wider = header(0x1p-11f, 1);
  std::memcpy(coded.bytes.data(), &wider, sizeof wider);
  EXPECT_EQ(trec_runtime_check_exactness(model, nullptr), TREC_OK);
  EXPECT_EQ(forward(), (1 << 24) / (255 + 2048));
  const Header none = {0x7c00, 0};
  std::memcpy(coded.bytes.data(), &none, sizeof none);
  EXPECT_EQ(trec_runtime_check_exactness(model, nullptr), TREC_OK);
  EXPECT_EQ(forward(), 0);
}

TEST(Exactness, MisuseIsAnError) {
  Error error;
  EXPECT_EQ(trec_runtime_check_exactness(nullptr, &error), TREC_INVALID_ARGUMENT);
  EXPECT_EQ(error.text(), "model is null");
  EXPECT_EQ(trec_runtime_certified_length(nullptr, 0), -1);
  const Coded coded({header(1, 1)});
  const Model model(coded.own(TREC_EXACTNESS_CHECK), coded.image);
  EXPECT_EQ(trec_runtime_certified_length(model, -1), -1);
  EXPECT_EQ(trec_runtime_certified_length(model, 1), -1);
  for (int32_t wrong : {-1, 3}) {
    EXPECT_EQ(tryCreate(coded.own(wrong), error, coded.image), TREC_INVALID_ARGUMENT);
    EXPECT_EQ(error.text(), "exactness is " + std::to_string(wrong) + ", expected 0 to 2");
  }
}
