//===- PtxasTest.cpp - What is made of ptxas and its messages -------------===//

#include "trec/Target/Ptxas.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

using namespace mlir::trec;
using ::testing::HasSubstr;

namespace {

/// A folder with a program called ptxas that is a shell script.
class PtxasTest : public ::testing::Test {
protected:
  void SetUp() override {
    ASSERT_FALSE(llvm::sys::fs::createUniqueDirectory("ptxas", folder));
  }
  void TearDown() override { llvm::sys::fs::remove_directories(folder); }

  std::string install(llvm::StringRef script) {
    llvm::SmallString<128> path(folder);
    llvm::sys::path::append(path, "ptxas");
    llvm::cantFail(llvm::writeToOutput(path, [&](llvm::raw_ostream &os) {
      os << "#!/bin/sh\n" << script << '\n';
      return llvm::Error::success();
    }));
    auto all = static_cast<llvm::sys::fs::perms>(0755);
    EXPECT_FALSE(llvm::sys::fs::setPermissions(path, all));
    return path.str().str();
  }
  std::string getFolder() const { return folder.str().str(); }

  llvm::SmallString<128> folder;
};

} // namespace

static constexpr char kMessages[] = R"(
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'trec_scan_lengths' for 'sm_90'
ptxas info    : Function properties for trec_scan_lengths
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 512 bytes smem
ptxas info    : Compile time = 3.000 ms
ptxas info    : Compiling entry function 'trec_forward_i32' for 'sm_90'
ptxas info    : Function properties for trec_forward_i32
    16 bytes stack frame, 24 bytes spill stores, 32 bytes spill loads
ptxas info    : Used 64 registers, used 0 barriers, 16 bytes cumulative stack size
)";

TEST_F(PtxasTest, messagesSayWhatKernelsNeed) {
  std::vector<KernelResources> kernels = parseResources(kMessages);
  ASSERT_EQ(kernels.size(), 2u);
  EXPECT_EQ(kernels[0].name, "trec_forward_i32");
  EXPECT_EQ(kernels[0].registers, 64);
  EXPECT_EQ(kernels[0].stackBytes, 16);
  EXPECT_EQ(kernels[0].spillStoreBytes, 24);
  EXPECT_EQ(kernels[0].spillLoadBytes, 32);
  EXPECT_EQ(kernels[0].sharedBytes, 0);
  EXPECT_EQ(kernels[1].name, "trec_scan_lengths");
  EXPECT_EQ(kernels[1].registers, 40);
  EXPECT_EQ(kernels[1].sharedBytes, 512);
}

TEST_F(PtxasTest, theFirstFolderThatHasItWins) {
  std::string program = install("exit 0");
  EXPECT_EQ(llvm::cantFail(findPtxas({"/absent", getFolder()})), program);
}

TEST_F(PtxasTest, codeIsWhatItWrites) {
  // ptxas -arch=sm_90 -v -o OUTPUT INPUT
  std::string program = install("(echo $1; cat $5) > $4");
  AssembledCode code = llvm::cantFail(runPtxas(program, "sm_90", "source"));
  EXPECT_EQ(code.cubin, "-arch=sm_90\nsource");
  EXPECT_TRUE(code.kernels.empty());
}

TEST_F(PtxasTest, whatItSaysIsInTheError) {
  std::string program = install("echo 'line 3; syntax error' >&2; exit 255");
  llvm::Expected<AssembledCode> code = runPtxas(program, "sm_90", "source");
  ASSERT_FALSE(code);
  EXPECT_EQ(llvm::toString(code.takeError()),
            program + " failed for sm_90: line 3; syntax error");
}

TEST_F(PtxasTest, aProgramThatCannotRunIsAnError) {
  llvm::Expected<AssembledCode> code =
      runPtxas(getFolder() + "/absent", "sm_90", "source");
  ASSERT_FALSE(code);
  EXPECT_THAT(llvm::toString(code.takeError()),
              HasSubstr("absent failed for sm_90: "));
}
