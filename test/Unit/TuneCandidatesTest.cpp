//===- TuneCandidatesTest.cpp - Whatever a tuner may choose ---------------===//
//
// Every lowering of the space gives the same bits. What they are held to is the
// cost model's choice for the lowest level, which shares neither vectors nor
// fused multiply-adds with the others.
//
//===----------------------------------------------------------------------===//

#include "CompareKernels.h"
#include "trec/Pipelines/CPUPipeline.h"
#include "trec/Transforms/LoweringSpace.h"

#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "llvm/ADT/SetVector.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace mlir::trec;

namespace {

/// A model of one table, by what makes kernels differ.
struct Model {
  std::string name;
  std::string row; // "100, int4"
  std::string header = "f16";
  std::string pooling = "sum"; // empty: rows are not pooled
  bool weighted = false;
  std::string map; // "sorted"
  std::string rows = "20000";
  std::string
      bytes; // of rows that are handed out as stored; empty: they are not
};

std::ostream &operator<<(std::ostream &os, const Model &model) {
  return os << model.name;
}

std::string getText(const Model &model) {
  std::string dim = model.row.substr(0, model.row.find(','));
  std::string layout = "#trec.row_layout<header = " + model.header + ">";
  std::string values = "!trec.jagged<!trec.dequantized<" + dim + ">>";
  std::string row =
      "!trec.jagged<!trec.row<" + model.row + ", " + layout + ">>";
  std::string text = "!kjt = !trec.kjt<[\"f\"]" +
                     std::string(model.weighted ? ", weighted" : "") +
                     ">\nmodule attributes {trec.contract = 1 : i32} {\n"
                     "trec.table @t : !trec.table<" +
                     model.rows + "x" + model.row + ", " + layout + ">\n";
  if (!model.map.empty())
    text += "trec.parameter @m maps <" + model.map + "> : tensor<3000x" +
            (model.map == "array" ? "i32" : "2xi64") + ">\n";
  std::string output =
      model.pooling.empty() ? "!trec.jagged_dict" : "!trec.keyed_tensor";
  output += "<[\"f\"], [" +
            (model.bytes.empty() ? dim + "], f32>" : model.bytes + "], i8>");
  text += "func.func @forward(%kjt: !kjt) -> " + output +
          " {\n%ids = trec.feature %kjt \"f\" : !kjt\n";
  text += model.map.empty() ? "%used = trec.check_bounds ignore %ids in @t\n"
                            : "%checked = trec.check_bounds ignore %ids in @m\n"
                              "%used = trec.remap %checked by @m\n";
  text += "%rows = trec.lookup @t[%used] : " + row + "\n";
  if (!model.bytes.empty())
    return text + "%got = trec.stored_bytes %rows : " + row +
           "\n%out = trec.jagged_dict %got : (!trec.jagged<vector<" +
           model.bytes + "xi8>>) -> " + output + "\nreturn %out : " + output +
           "\n}\n}\n";
  text += "%plain = trec.dequantize %rows : " + row + "\n";
  if (model.weighted)
    text += "%w = trec.sample_weights %kjt \"f\" : !kjt\n"
            "%values = trec.weight %plain by %w : " +
            values + "\n";
  std::string last = model.weighted ? "%values" : "%plain";
  if (model.pooling.empty())
    text += "%got = trec.materialize " + last + " : " + values +
            " -> !trec.jagged<vector<" + dim +
            "xf32>>\n%out = trec.jagged_dict %got : (!trec.jagged<vector<" +
            dim + "xf32>>) -> " + output + "\n";
  else
    text += "%got = trec.pool " + model.pooling + " " + last + " : " + values +
            "\n%out = trec.keyed_tensor %got : (tensor<?x" + dim +
            "xf32>) -> " + output + "\n";
  return text + "return %out : " + output + "\n}\n}\n";
}

class TuneCandidatesTest : public ::testing::TestWithParam<Model> {
protected:
  TuneCandidatesTest() {
    DialectRegistry registry;
    registry.insert<TrecDialect, func::FuncDialect>();
    registerBuiltinDialectTranslation(registry);
    registerLLVMDialectTranslation(registry);
    context.appendDialectRegistry(registry);
    module = parseSourceString<ModuleOp>(getText(GetParam()), &context);
  }

  LookupGroupInterface lower(const CPULevel &level) {
    lowered = module->clone();
    PassManager pm(&context);
    CPUPipelineOptions options;
    options.cpu = level.name.str();
    for (CPUStage stage : {CPUStage::import, CPUStage::fuse, CPUStage::group})
      buildCPUStage(pm, stage, options);
    EXPECT_TRUE(succeeded(pm.run(*lowered)));
    LookupGroupInterface group;
    lowered->walk([&](LookupGroupInterface op) { group = op; });
    return group;
  }

  /// What differs from the cost model's choice in one field, and of the level
  /// with the most choices a part of what differs in two.
  static SmallVector<LoweringConfigAttr>
  listCandidates(LookupGroupInterface group, const CPULevel &level) {
    LoweringSubject subject{
        group.getRowType(), group.getRemapKind(),
        getSizeClass(getLargestTable(
            group, SymbolTable(group->getParentOfType<ModuleOp>()))),
        &level, group.getOutputElement().isInteger(8)};
    llvm::SmallSetVector<LoweringConfigAttr, 32> found;
    found.insert(group.getLoweringAttr());
    auto list = [&](LoweringConfigAttr lowering, size_t part) {
      size_t count = 0;
      for (LoweringField field : getLoweringFields())
        for (LoweringConfigAttr other :
             listAlternatives(subject, field, lowering))
          if (count++ % part == 0)
            found.insert(other);
    };
    list(found.front(), 1);
    if (level.vectorBits == 512)
      for (LoweringConfigAttr lowering : found.getArrayRef().vec())
        list(lowering, 15);
    return found.takeVector();
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module, lowered;
};

bool canRun(const CPUTarget &target) {
  return !(
      target.featureMask &
      ~llvm::cantFail(resolveCPU("native", getHostArchitecture())).featureMask);
}

} // namespace

TEST_P(TuneCandidatesTest, allGiveTheSameBits) {
  ASSERT_TRUE(module) << getText(GetParam());
  TuneWorkload workload =
      llvm::cantFail(TuneWorkload::read(*module, /*path=*/""));
  ASSERT_FALSE(bool(workload.makeTables()));
  std::vector<std::vector<uint8_t>> expected;
  for (const CPULevel &level : getCPULevels(getHostArchitecture())) {
    CPUTarget target =
        llvm::cantFail(resolveCPU(level.name, getHostArchitecture()));
    if (!canRun(target))
      continue;
    LookupGroupInterface group = lower(level);
    SmallVector<LoweringConfigAttr> candidates = listCandidates(group, level);
    EXPECT_GT(candidates.size(), 3u);
    GroupLookups lookups(group, workload);
    auto kernels = CandidateKernels::compile(group, candidates, target);
    ASSERT_TRUE(succeeded(kernels));
    for (size_t i = 0; i < candidates.size(); ++i) {
      lookups.clearOutputs();
      lookups.run(kernels->get(i), 0);
      if (expected.empty())
        expected = lookups.getOutputs().vec();
      EXPECT_EQ(lookups.getOutputs(), ArrayRef(expected))
          << level.name.str() << ' ' << stringifyLowering(candidates[i]);
    }
  }
  // Something was looked up.
  EXPECT_FALSE(llvm::all_of(expected.front(), [](uint8_t b) { return !b; }));
}

INSTANTIATE_TEST_SUITE_P(
    Models, TuneCandidatesTest,
    ::testing::Values(
        Model{"int8", "100, int8"},
        Model{"int4Mean", "96, int4", "f16", "mean"},
        Model{"int2Wide", "260, int2"},
        Model{"int4Weighted", "40, int4", "f16", "sum", true},
        Model{"fp16", "70, fp16", "none"},
        Model{"sequence", "64, int8", "f16", ""},
        Model{"stored", "64, int8", "f16", "", false, "", "20000", "68"},
        Model{"small", "64, int8", "f16", "sum", false, "", "100"},
        Model{"mapped", "32, int8", "f16", "sum", false, "array"},
        Model{"searched", "32, int2", "f16", "sum", false, "sorted"}),
    [](const auto &info) { return info.param.name; });

TEST(FindMedianTest, outliersMoveNothing) {
  auto [median, error] = findMedian({1, 2, 3, 2, 1000});
  EXPECT_EQ(median, 2);
  EXPECT_NEAR(error, 2 * 1.2533 * 1.4826 * 1 / std::sqrt(5.0), 1e-9);
  EXPECT_EQ(findMedian({7, 7, 7}), std::pair(7.0, 0.0));
}
