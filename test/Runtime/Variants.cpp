// See Variants.h.
#include "Variants.h"

#include <algorithm>
#include <cmath>

using namespace trectest;

const float trectest::positionWeights[NUM_POSITIONS] = {2, 0.5f, -4};
const int32_t trectest::rowMap[NUM_MAPPED] = {3, -1, 9, 0, 1, 2, -1, 5, 4, 8, 7, 6};

namespace {

/// The bags of the test image, for what is expected of them.
struct TestBag {
  int feature, rows, dim, column;
  float sign;
};
const TestBag testBags[NUM_BAGS] = {
    {0, T1_ROWS, 4, 0, 1}, {1, T2_ROWS, 2, 4, -1}, {2, T1_ROWS, 4, 6, 1}, {0, T2_ROWS, 2, 10, -1}};

void noteBadId(const trec_bag_args *args, int64_t position) {
  ++args->report[0];
  args->report[1] = std::min(args->report[1], position);
}

template <typename Id> int64_t idAt(const trec_bag_args *args, int64_t position) {
  return static_cast<const Id *>(args->indices)[position];
}

template <typename Id, int Dim> void copyRows(const trec_bag_args *args, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    int64_t row = idAt<Id>(args, i);
    float *out = static_cast<float *>(args->output) + (i - args->offsets[0]) * args->output_stride;
    std::fill(out, out + Dim, 0.0f);
    if (row == -1)
      continue;
    if (row < 0 || row >= args->num_rows) {
      noteBadId(args, i);
      row = 0;
    }
    std::memcpy(out, static_cast<const char *>(args->rows) + row * Dim * 4, Dim * 4);
  }
}

/// The row of the id at a position, -1 for none.
template <typename Id, bool Mapped> int64_t rowAt(const trec_bag_args *args, int64_t position) {
  int64_t id = idAt<Id>(args, position);
  if (id == -1)
    return -1;
  if (id < 0 || id >= (Mapped ? args->num_ids : args->num_rows)) {
    noteBadId(args, position);
    id = 0;
  }
  const int64_t row = Mapped ? static_cast<const int32_t *>(args->remap)[id] : id;
  return row < args->num_rows ? row : -1;
}

template <typename Id, int Dim, bool Positional, bool Mapped>
void poolRows(const trec_bag_args *args, int64_t begin, int64_t end) {
  for (int64_t bag = begin; bag < end; ++bag) {
    float *out = static_cast<float *>(args->output) + bag * args->output_stride;
    std::fill(out, out + Dim, 0.0f);
    for (int64_t first = args->offsets[bag], i = first; i < args->offsets[bag + 1]; ++i) {
      const int64_t row = rowAt<Id, Mapped>(args, i);
      float values[Dim];
      if (row < 0)
        continue;
      std::memcpy(values, static_cast<const char *>(args->rows) + row * Dim * 4, sizeof values);
      const float weight = Positional ? args->weights[i - first] : args->weights ? args->weights[i] : 1;
      for (int e = 0; e < Dim; ++e)
        out[e] += weight * values[e];
    }
  }
}

const trec_kernel copying[] = {copyRows<int32_t, T1_DIM>, copyRows<int64_t, T1_DIM>, copyRows<int32_t, T2_DIM>,
                               copyRows<int64_t, T2_DIM>};
const trec_kernel withParameters[] = {poolRows<int32_t, T1_DIM, true, false>,  poolRows<int64_t, T1_DIM, true, false>,
                                      poolRows<int32_t, T2_DIM, false, false>, poolRows<int64_t, T2_DIM, false, false>,
                                      poolRows<int32_t, T1_DIM, false, true>,  poolRows<int64_t, T1_DIM, false, true>,
                                      poolRows<int32_t, T2_DIM, true, false>,  poolRows<int64_t, T2_DIM, true, false>};
const char strings[] = "f1\0f2\0f3\0t1\0t2\0p1\0p2";

} // namespace

UnpooledImage::UnpooledImage() : level{"x86-64", 0, copying}, image(::trec_image) {
  for (int64_t i = 0; i < NUM_BAGS; ++i) {
    bags[i] = ::trec_image.bags[i];
    bags[i].column = i;
  }
  image.bags = bags;
  image.levels = &level;
  image.unpooled = 1;
}

Sequences::Sequences(const Ids &ids, const std::vector<int> &slots) : Batch(ids) {
  for (int i = 0; i < NUM_BAGS; ++i) {
    rows[i].assign(expectedRows(ids, i, slots).size(), NAN);
    outputs.push_back(rows[i].empty() ? nullptr : rows[i].data());
    outputsBytes.push_back(rows[i].size() * sizeof(float));
  }
}

trec_forward_args Sequences::args() const {
  trec_forward_args args = Batch::args();
  args.output = nullptr;
  args.output_bytes = 0;
  args.outputs = outputs.data();
  args.outputs_bytes = outputsBytes.data();
  return args;
}

std::vector<float> trectest::expectedRows(const Ids &ids, int bag, const std::vector<int> &slots) {
  const TestBag &test = testBags[bag];
  std::vector<float> rows;
  for (const auto &sample : ids[slots[test.feature]])
    for (int64_t id : sample)
      for (int e = 0; e < test.dim; ++e)
        rows.push_back(id == -1 ? 0 : test.sign * ((id < 0 || id >= test.rows ? 0 : id) + e / 8.0f));
  return rows;
}

ParameterImage::ParameterImage()
    : bags{{0, 0, 0, 0, 1, 0}, {1, 1, 1, 4, 0, 0}, {2, 0, 2, 6, 0, 2}, {3, 1, 0, 10, 1, 0}},
      parameters{{15, NUM_POSITIONS, TREC_FLOAT32, TREC_MAP_NONE, 0}, {18, NUM_MAPPED, TREC_INT32, TREC_MAP_ARRAY, 0}},
      level{"x86-64", 0, withParameters}, image(::trec_image) {
  image.strings = strings;
  image.bags = bags;
  image.num_kernels = 4;
  image.levels = &level;
  image.parameters = parameters;
  image.num_parameters = 2;
}

std::string trectest::parameterMembers() {
  return R"("p1":{"dtype":"F32","shape":[3],"data_offsets":[320,332]},)"
         R"("p2":{"dtype":"I32","shape":[12],"data_offsets":[332,380]},)";
}

std::string trectest::parameterFile(const std::string &members, size_t misalignment) {
  std::string header = goodHeader(members), data = goodData();
  data.append(reinterpret_cast<const char *>(positionWeights), sizeof positionWeights);
  data.append(reinterpret_cast<const char *>(rowMap), sizeof rowMap);
  return fileOf(header + std::string(misalignment, ' '), data);
}

trec_create_options ParameterTables::options() const {
  trec_create_options options = {};
  options.tables = tables;
  options.num_tables = 2;
  options.parameters = parameters;
  options.num_parameters = 2;
  return options;
}

std::vector<float> trectest::expectedWithParameters(const Ids &ids, const std::vector<float> &sampleWeights) {
  const int64_t batch = static_cast<int64_t>(ids[0].size());
  std::vector<float> out(batch * TOTAL_DIM);
  const Batch flat(ids);
  for (const TestBag &test : testBags)
    for (int64_t b = 0; b < batch; ++b) {
      const int64_t first = flat.offsets64[test.feature * batch + b];
      for (int64_t i = first; i < flat.offsets64[test.feature * batch + b + 1]; ++i) {
        int64_t id = flat.values64[i];
        const int64_t limit = test.feature == 2 ? NUM_MAPPED : test.rows;
        id = id != -1 && (id < 0 || id >= limit) ? 0 : id;
        const int64_t row = test.feature == 2 && id >= 0 ? rowMap[id] : id;
        const float weight = test.feature == 0       ? positionWeights[i - first]
                             : sampleWeights.empty() ? 1
                                                     : sampleWeights[i];
        for (int e = 0; e < test.dim && row >= 0; ++e)
          out[b * TOTAL_DIM + test.column + e] += weight * (test.sign * (row + e / 8.0f));
      }
    }
  return out;
}
