// Models of other kinds than the test image: one without pooling, and one whose features have weights by position and
// the map of a pruned table; with batches for them and the results that they should have.
#ifndef TREC_TEST_RUNTIME_VARIANTS_H
#define TREC_TEST_RUNTIME_VARIANTS_H

#include "Support.h"

namespace trectest {

/// The test image with a row per id: outputs 0 and 2 are rows of t1 for f1 and f3, 1 and 3 rows of t2 for f2 and f1.
struct UnpooledImage {
  UnpooledImage();
  UnpooledImage(const UnpooledImage &) = delete;
  operator const struct trec_image &() const { return image; }
  trec_bag_desc bags[NUM_BAGS];
  trec_level_desc level;
  struct trec_image image;
};

/// A batch of such a model. Buffers of outputs have the exact size, so that a sanitizer sees a write beyond it.
struct Sequences : Batch {
  explicit Sequences(const Ids &ids, const std::vector<int> &slots = {0, 1, 2});
  Sequences(const Sequences &) = delete;
  trec_forward_args args() const;
  std::vector<float> rows[NUM_BAGS];
  std::vector<void *> outputs;
  std::vector<uint64_t> outputsBytes;
};

/// The rows of output `bag` for `ids`; -1 gives zeros, bad ids count as row 0.
std::vector<float> expectedRows(const Ids &ids, int bag, const std::vector<int> &slots = {0, 1, 2});

enum { NUM_POSITIONS = 3, NUM_MAPPED = 12 };

/// The test image where f1's two bags are weighted by position with p1 and f3's ids are mapped to rows by p2.
struct ParameterImage {
  ParameterImage();
  ParameterImage(const ParameterImage &) = delete;
  operator const struct trec_image &() const { return image; }
  trec_bag_desc bags[NUM_BAGS];
  trec_parameter_desc parameters[2];
  trec_level_desc level;
  struct trec_image image;
};

/// What p1 and p2 hold in tests that need no other values.
extern const float positionWeights[NUM_POSITIONS];
extern const int32_t rowMap[NUM_MAPPED];

/// Members of a header for p1 and p2 behind the tables' rows, and a file with them; its data begin at `misalignment`
/// modulo 16.
std::string parameterMembers();
std::string parameterFile(const std::string &members = parameterMembers(), size_t misalignment = 0);

/// The caller's own tables and parameters.
struct ParameterTables {
  trec_create_options options() const;
  std::string data = goodData();
  std::vector<float> weights{positionWeights, positionWeights + NUM_POSITIONS};
  std::vector<int32_t> map{rowMap, rowMap + NUM_MAPPED};
  trec_table_data tables[2] = {{data.data(), T1_ROWS, T1_DIM * 4}, {data.data() + 160, T2_ROWS, T2_DIM * 4}};
  trec_table_data parameters[2] = {{weights.data(), NUM_POSITIONS, 4}, {map.data(), NUM_MAPPED, 4}};
};

/// The output for `ids` with those parameters; `sampleWeights` apply to f2 and f3, one per id of the batch.
std::vector<float> expectedWithParameters(const Ids &ids, const std::vector<float> &sampleWeights = {});

} // namespace trectest

#endif // TREC_TEST_RUNTIME_VARIANTS_H
