//===- CPUTargetTest.cpp - Names of CPUs and what they stand for ----------===//

#include "trec/Target/CPUTarget.h"

#include "llvm/ADT/STLExtras.h"
#include "gtest/gtest.h"

using namespace mlir::trec;

/// The error message of a name, or "" where it is resolved.
static std::string getError(llvm::StringRef name) {
  llvm::Expected<CPUTarget> target = resolveCPU(name);
  return target ? "" : llvm::toString(target.takeError());
}

static CPUTarget resolve(llvm::StringRef name) {
  return llvm::cantFail(resolveCPU(name));
}

TEST(CPUTargetTest, levelsAreThemselves) {
  for (const CPULevel &level : getCPULevels()) {
    CPUTarget target = resolve(level.name);
    EXPECT_EQ(target.name, level.name);
    EXPECT_EQ(target.level, &level);
    EXPECT_EQ(findCPULevel(level.name), &level);
  }
  EXPECT_EQ(findCPULevel("x86-64"), nullptr);
  EXPECT_EQ(listCPULevels(), "x86-64-v2, x86-64-v3 or x86-64-v4");
}

TEST(CPUTargetTest, eachLevelContainsTheOneBefore) {
  uint64_t v2 = resolve("x86-64-v2").featureMask;
  uint64_t v3 = resolve("x86-64-v3").featureMask;
  uint64_t v4 = resolve("x86-64-v4").featureMask;
  EXPECT_NE(v2, 0u);
  EXPECT_EQ(v2 & v3, v2);
  EXPECT_NE(v2, v3);
  EXPECT_EQ(v3 & v4, v3);
  EXPECT_NE(v3, v4);
}

TEST(CPUTargetTest, maskAndFeaturesAreTheSame) {
  for (const CPULevel &level : getCPULevels()) {
    CPUTarget target = resolve(level.name);
    EXPECT_EQ(size_t(llvm::popcount(target.featureMask)),
              target.features.size());
    EXPECT_EQ(llvm::is_contained(target.features, "fma"), level.hasFMA);
    EXPECT_EQ(llvm::is_contained(target.features, "f16c"), level.hasF16C);
    EXPECT_EQ(llvm::is_contained(target.features, "avx512f"),
              level.vectorBits == 512);
  }
}

TEST(CPUTargetTest, cpusAreCompiledAtTheirHighestLevel) {
  EXPECT_EQ(resolve("nehalem").level->name, "x86-64-v2");
  EXPECT_EQ(resolve("haswell").level->name, "x86-64-v3");
  EXPECT_EQ(resolve("znver3").level->name, "x86-64-v3");
  EXPECT_EQ(resolve("sapphirerapids").level->name, "x86-64-v4");
  EXPECT_EQ(resolve("haswell").name, "haswell");
  // AVX but not AVX2: more than v2, not yet v3.
  CPUTarget sandyBridge = resolve("sandybridge");
  EXPECT_EQ(sandyBridge.level->name, "x86-64-v2");
  EXPECT_TRUE(llvm::is_contained(sandyBridge.features, "avx"));
}

TEST(CPUTargetTest, nativeIsThisMachine) {
  CPUTarget target = resolve("native");
  EXPECT_NE(target.name, "native");
  EXPECT_NE(target.level, nullptr);
  EXPECT_EQ(target.featureMask & resolve("x86-64-v2").featureMask,
            resolve("x86-64-v2").featureMask);
}

TEST(CPUTargetTest, unknownAndOldCPUsAreRefused) {
  EXPECT_EQ(getError("pentium17"),
            "unknown CPU 'pentium17': expected native, x86-64-v2, x86-64-v3 or "
            "x86-64-v4, or a CPU that LLVM knows such as sapphirerapids");
  EXPECT_EQ(getError("x86-64"), "expected a CPU of at least x86-64-v2, got "
                                "'x86-64', which lacks some of its features");
  EXPECT_NE(getError("core2"), "");
  EXPECT_NE(getError(""), "");
  EXPECT_NE(getError("x86-64-v5"), "");
  EXPECT_NE(getError("i686"), "");
}

TEST(CPUTargetTest, machineHasTheFeaturesAndNoTuning) {
  CPUTarget target = resolve("x86-64-v3");
  EXPECT_NE(target.getFeatureString().find("+avx2"), std::string::npos);
  std::unique_ptr<llvm::TargetMachine> machine = createTargetMachine(target);
  ASSERT_TRUE(machine);
  EXPECT_EQ(machine->getTargetCPU(), "x86-64");
  EXPECT_EQ(machine->getTargetFeatureString(), target.getFeatureString());
  EXPECT_EQ(machine->Options.AllowFPOpFusion, llvm::FPOpFusion::Strict);
}
