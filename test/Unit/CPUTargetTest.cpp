//===- CPUTargetTest.cpp - Names of CPUs and what they stand for ----------===//

#include "trec/Target/CPUTarget.h"

#include "llvm/ADT/STLExtras.h"
#include "gtest/gtest.h"

using namespace mlir::trec;

static constexpr Architecture x86 = Architecture::x86_64;
static constexpr Architecture aarch64 = Architecture::aarch64;

/// The error message of a name, or "" where it is resolved.
static std::string getError(llvm::StringRef name,
                            Architecture architecture = x86) {
  llvm::Expected<CPUTarget> target = resolveCPU(name, architecture);
  return target ? "" : llvm::toString(target.takeError());
}

static CPUTarget resolve(llvm::StringRef name,
                         Architecture architecture = x86) {
  return llvm::cantFail(resolveCPU(name, architecture));
}

TEST(CPUTargetTest, levelsAreThemselves) {
  for (Architecture architecture : getArchitectures()) {
    for (const CPULevel &level : getCPULevels(architecture)) {
      CPUTarget target = resolve(level.name, architecture);
      EXPECT_EQ(target.name, level.name);
      EXPECT_EQ(target.level, &level);
      EXPECT_EQ(findCPULevel(level.name), &level);
      EXPECT_EQ(level.architecture, architecture);
    }
  }
  EXPECT_EQ(findCPULevel("x86-64"), nullptr);
  EXPECT_EQ(listCPULevels(x86), "x86-64-v2, x86-64-v3 or x86-64-v4");
  EXPECT_EQ(listCPULevels(aarch64), "armv8-a, sve-256 or sve-512");
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
  for (const CPULevel &level : getCPULevels(x86)) {
    CPUTarget target = resolve(level.name);
    EXPECT_EQ(size_t(llvm::popcount(target.featureMask)),
              target.features.size());
    EXPECT_EQ(llvm::is_contained(target.features, "fma"), level.hasFMA);
    EXPECT_EQ(llvm::is_contained(target.features, "f16c"),
              level.convertsHalves);
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
  CPUTarget target = resolve("native", getHostArchitecture());
  EXPECT_NE(target.name, "native");
  EXPECT_NE(target.level, nullptr);
  EXPECT_EQ(target.featureMask & resolve("x86-64-v2").featureMask,
            resolve("x86-64-v2").featureMask);
}

TEST(CPUTargetTest, unknownAndOldCPUsAreRefused) {
  EXPECT_EQ(getError("pentium17"),
            "unknown CPU 'pentium17' of x86-64: expected native, x86-64-v2, "
            "x86-64-v3 or "
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

TEST(CPUTargetTest, linesAreFetchedToBeWrittenWhereAllCPUsCan) {
  CPUTarget target = resolve("x86-64-v4");
  EXPECT_EQ(createTargetMachine(target)->getTargetFeatureString(),
            target.getFeatureString() + ",+prfchw");
}

TEST(CPUTargetTest, triplesAreWrittenInAnyForm) {
  EXPECT_EQ(llvm::cantFail(resolveTriple("")), getHostArchitecture());
  for (const char *triple : {"x86_64-linux-gnu", "x86_64-unknown-linux-gnu"})
    EXPECT_EQ(llvm::cantFail(resolveTriple(triple)), x86);
  for (const char *triple :
       {"aarch64-linux-gnu", "arm64-linux-gnu", "aarch64-unknown-linux-gnu"})
    EXPECT_EQ(llvm::cantFail(resolveTriple(triple)), aarch64);
  for (const char *triple :
       {"aarch64", "aarch64-linux-musl", "aarch64_be-linux-gnu",
        "arm64-apple-darwin", "arm64ec-linux-gnu", "i686-linux-gnu", "-"}) {
    llvm::Expected<Architecture> resolved = resolveTriple(triple);
    ASSERT_FALSE(bool(resolved)) << triple;
    EXPECT_EQ(llvm::toString(resolved.takeError()),
              std::string("unknown target '") + triple +
                  "': expected x86_64-linux-gnu or aarch64-linux-gnu");
  }
}

TEST(CPUTargetTest, levelsOfAArch64AreLengthsOfVectors) {
  EXPECT_EQ(resolve("armv8-a", aarch64).featureMask, 0u);
  EXPECT_FALSE(resolve("armv8-a", aarch64).usesSVE());
  CPUTarget sve = resolve("sve-256", aarch64);
  EXPECT_TRUE(sve.usesSVE());
  EXPECT_TRUE(llvm::is_contained(sve.features, "sve256"));
  EXPECT_FALSE(llvm::is_contained(sve.features, "sve512"));
  // A length is no feature of LLVM's.
  EXPECT_EQ(sve.getFeatureString(), "+sve,+fullfp16");
  uint64_t longer = resolve("sve-512", aarch64).featureMask;
  EXPECT_EQ(sve.featureMask & longer, sve.featureMask);
  EXPECT_NE(sve.featureMask, longer);
}

TEST(CPUTargetTest, cpusOfAArch64) {
  std::pair<const char *, const char *> levels[] = {
      {"generic", "armv8-a"},     {"cortex-a57", "armv8-a"},
      {"neoverse-n1", "armv8-a"}, {"neoverse-v1", "sve-256"},
      {"neoverse-v2", "armv8-a"}, {"a64fx", "sve-512"},
      {"armv8.2-a", "armv8-a"},   {"armv9-a", "armv8-a"}};
  for (auto [cpu, level] : levels)
    EXPECT_EQ(resolve(cpu, aarch64).level->name, level) << cpu;
  EXPECT_TRUE(llvm::is_contained(resolve("armv9-a", aarch64).features, "sve2"));
  for (const char *name : {"", "armv8-r", "armv8a", "x86-64-v3", "haswell"})
    EXPECT_NE(getError(name, aarch64), "") << name;
  EXPECT_NE(getError("neoverse-v1"), "");
}

TEST(CPUTargetTest, machinesOfAArch64AreNotTuned) {
  std::unique_ptr<llvm::TargetMachine> machine =
      createTargetMachine(resolve("neoverse-v2", aarch64));
  ASSERT_TRUE(machine);
  EXPECT_EQ(machine->getTargetTriple().str(), "aarch64-unknown-linux-gnu");
  EXPECT_EQ(machine->getTargetCPU(), "generic");
  EXPECT_EQ(machine->Options.AllowFPOpFusion, llvm::FPOpFusion::Strict);
}

TEST(CPUTargetTest, defaultsSuitTheTarget) {
  for (Architecture architecture : getArchitectures()) {
    bool isHost = architecture == getHostArchitecture();
    EXPECT_EQ(getDefaultCPU(architecture),
              isHost ? "native" : getCPULevels(architecture).front().name);
    EXPECT_EQ(getError("native", architecture).empty(), isHost);
  }
}
