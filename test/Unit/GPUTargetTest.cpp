//===- GPUTargetTest.cpp - Names of GPUs and what they stand for ----------===//

#include "trec/Target/GPUTarget.h"

#include "gtest/gtest.h"

using namespace mlir::trec;

static std::string getError(llvm::StringRef name) {
  llvm::Expected<GPUTarget> target = resolveGPU(name);
  return target ? "" : llvm::toString(target.takeError());
}

static GPUTarget resolve(llvm::StringRef name) {
  return llvm::cantFail(resolveGPU(name));
}

TEST(GPUTargetTest, chipsHaveTheirCapability) {
  EXPECT_EQ(resolve("sm_80").capability, 80);
  EXPECT_EQ(resolve("sm_90").capability, 90);
  EXPECT_EQ(resolve("sm_120").capability, 120);
  EXPECT_EQ(resolve("sm_90").chip, "sm_90");
}

TEST(GPUTargetTest, aLetterBehindAChipIsIgnored) {
  EXPECT_EQ(resolve("sm_90a").chip, "sm_90");
  EXPECT_EQ(resolve("sm_100f").chip, "sm_100");
  EXPECT_EQ(resolve("sm_120a").capability, 120);
}

TEST(GPUTargetTest, theVersionOfPTXIsTheLowestThatWillDo) {
  EXPECT_EQ(resolve("sm_80").features, "+ptx78");
  EXPECT_EQ(resolve("sm_90").features, "+ptx78");
  EXPECT_EQ(resolve("sm_100").features, "");
}

TEST(GPUTargetTest, unknownNamesAreErrors) {
  for (const char *name : {"", "a", "sm_", "sm_a", "sm_5000", "h100", "sm_80a",
                           "sm_90aa", "SM_90", "sm_090"})
    EXPECT_EQ(getError(name), std::string("unknown GPU '") + name +
                                  "': expected a chip such as sm_80 or sm_90");
}

TEST(GPUTargetTest, oldChipsAreErrors) {
  EXPECT_EQ(getError("sm_75"), "expected a GPU of at least sm_80, got 'sm_75'");
}

TEST(GPUTargetTest, machinesFuseNothing) {
  std::unique_ptr<llvm::TargetMachine> machine =
      createTargetMachine(resolve("sm_90"));
  EXPECT_EQ(machine->Options.AllowFPOpFusion, llvm::FPOpFusion::Strict);
  EXPECT_EQ(machine->getTargetCPU(), "sm_90");
}
