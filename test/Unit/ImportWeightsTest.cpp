//===- ImportWeightsTest.cpp - Files of weights
//----------------------------===//
//
// Reading, refusing and writing safetensors, and holding them against a model.
//
//===----------------------------------------------------------------------===//

#include "trec/Import/AtomicFile.h"
#include "trec/Import/WeightsFile.h"

#include "mlir/Parser/Parser.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "gtest/gtest.h"

#include <csignal>
#include <sys/resource.h>

using namespace mlir;
using namespace mlir::trec;

namespace {

/// A directory of its own, and a model of two tables.
class ImportWeightsTest : public ::testing::Test {
protected:
  void SetUp() override {
    ASSERT_FALSE(
        llvm::sys::fs::createUniqueDirectory("trec-weights", directory));
    context.loadDialect<TrecDialect, func::FuncDialect>();
    module = parseSourceString<ModuleOp>(R"(
      trec.table @ads : !trec.table<2x4, int8, #trec.row_layout<header = f16, align = 16>>
      trec.table @u : !trec.table<?x3, fp32, #trec.row_layout<header = none>>
    )",
                                         &context);
    ASSERT_TRUE(module);
  }
  void TearDown() override { llvm::sys::fs::remove_directories(directory); }

  std::string pathOf(StringRef name) {
    llvm::SmallString<128> path(directory);
    llvm::sys::path::append(path, name);
    return path.str().str();
  }

  std::string write(StringRef text) {
    std::string path = pathOf("f.safetensors");
    std::error_code code;
    llvm::raw_fd_ostream(path, code) << text;
    return path;
  }

  std::string read(StringRef path) {
    auto buffer = llvm::MemoryBuffer::getFile(path);
    return buffer ? (*buffer)->getBuffer().str() : "";
  }

  static std::string withLength(StringRef header, StringRef data = "") {
    char length[8];
    llvm::support::endian::write64le(length, header.size());
    return (StringRef(length, 8) + header + data).str();
  }

  /// What reading this file and finding the tables in it says, without the
  /// path.
  std::string errorOf(StringRef text) {
    std::string path = write(text);
    auto file = TensorFile::open(path);
    std::string message = file
                              ? toString(findTables(*file, *module).takeError())
                              : toString(file.takeError());
    EXPECT_TRUE(StringRef(message).starts_with(path + ": ")) << message;
    return message.substr(std::min(message.size(), path.size() + 2));
  }

  Operation *parameter(StringRef name, ArrayRef<int64_t> shape, Type element,
                       MapAttr map = MapAttr()) {
    OpBuilder builder(&context);
    auto type = RankedTensorType::get(shape, element);
    return ParameterOp::create(builder, builder.getUnknownLoc(),
                               builder.getStringAttr(name), map,
                               TypeAttr::get(type));
  }

  llvm::SmallString<128> directory;
  MLIRContext context;
  OwningOpRef<ModuleOp> module;
};

} // namespace

static const char twoTables[] =
    R"({"ads":{"dtype":"U8","shape":[2,16],"data_offsets":[0,32]},)"
    R"("u":{"dtype":"U8","shape":[1,12],"data_offsets":[32,44]}})";

TEST_F(ImportWeightsTest, ReadsTensors) {
  std::string data(44, '\7');
  auto file = TensorFile::open(write(withLength(twoTables, data)));
  ASSERT_TRUE(bool(file)) << toString(file.takeError());
  EXPECT_EQ(file->find("missing"), nullptr);
  auto tables = findTables(*file, *module);
  ASSERT_TRUE(bool(tables)) << toString(tables.takeError());
  EXPECT_EQ((*tables)[0].name, "ads");
  EXPECT_EQ((*tables)[1].shape[0], 1);
  EXPECT_EQ((*tables)[1].bytes.size(), 12u);
  EXPECT_EQ((*tables)[1].bytes[11], 7);
}

TEST_F(ImportWeightsTest, RefusesWhatIsNoSuchFile) {
  EXPECT_EQ(toString(TensorFile::open(pathOf("none")).takeError()),
            pathOf("none") + ": cannot be read: No such file or directory");
  EXPECT_EQ(errorOf("abc"),
            "not a safetensors file: 3 bytes, expected 8 or more");
  EXPECT_EQ(errorOf("PK\3\4 a zip file is none"),
            "not a safetensors file: header of 8800140462016121680 bytes, "
            "expected at most 100000000");
  EXPECT_EQ(errorOf(withLength("{}").substr(0, 9)),
            "truncated: header ends at byte 10, but there are only 9 bytes");
  EXPECT_TRUE(StringRef(errorOf(withLength("{")))
                  .starts_with("not a safetensors file: header is not JSON: "));
  EXPECT_EQ(errorOf(withLength("[]")),
            "not a safetensors file: header is not a JSON object");
}

TEST_F(ImportWeightsTest, RefusesTensorsThatAreNotWhole) {
  const char expected[] =
      "tensor \"a\": expected a dtype, a shape and data_offsets";
  for (const char *tensor :
       {"1", R"({"dtype":"U8","shape":[1]})",
        R"({"dtype":"U8","shape":[-1],"data_offsets":[0,0]})",
        R"({"dtype":"U8","shape":[1],"data_offsets":[1,0]})",
        R"({"dtype":"U8","shape":[1],"data_offsets":[0]})",
        R"({"dtype":1,"shape":[1],"data_offsets":[0,1]})"})
    EXPECT_EQ(errorOf(withLength(std::string("{\"a\":") + tensor + "}")),
              expected)
        << tensor;
  EXPECT_EQ(errorOf(withLength(twoTables, std::string(43, 'x'))),
            "truncated: tensor \"u\" ends at byte 44 of the data, but there "
            "are only 43");
  EXPECT_EQ(errorOf(withLength(
                R"({"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,20]}})",
                std::string(20, 'x'))),
            "tensor \"a\": 20 bytes do not fit shape [2, 3] of F32");
  EXPECT_EQ(errorOf(withLength(R"({"a":{"dtype":"U8",)"
                               R"("shape":[4294967296,4294967296],)"
                               R"("data_offsets":[0,0]}})")),
            "tensor \"a\": 0 bytes do not fit shape [4294967296, 4294967296] "
            "of U8");
}

TEST_F(ImportWeightsTest, RefusesTensorsThatAreNotTheTables) {
  auto withAds = [](const char *ads) {
    return withLength(std::string("{") + ads + "}", std::string(64, 'x'));
  };
  EXPECT_EQ(errorOf(withAds("")),
            "no tensor for table \"ads\" among its 0 tensors");
  EXPECT_EQ(
      errorOf(withAds(
          R"("ads":{"dtype":"I8","shape":[2,16],"data_offsets":[0,32]})")),
      "table \"ads\": dtype is \"I8\", expected \"U8\"");
  for (auto [shape, end] : {std::pair("3, 16", 48), std::pair("2, 12", 24),
                            std::pair("32", 32), std::pair("2, 16, 1", 32)}) {
    std::string tensor = R"("ads":{"dtype":"U8","shape":[)" +
                         std::string(shape) + R"(],"data_offsets":[0,)" +
                         std::to_string(end) + "]}";
    EXPECT_EQ(errorOf(withAds(tensor.c_str())), "table \"ads\": shape is [" +
                                                    std::string(shape) +
                                                    "], expected [2, 16]");
  }
  EXPECT_EQ(errorOf(withAds(
                R"("ads":{"dtype":"U8","shape":[2,16],"data_offsets":[0,32]},)"
                R"("u":{"dtype":"U8","shape":[2,16],"data_offsets":[32,64]})")),
            "table \"u\": shape is [2, 16], expected [rows, 12]");
}

/// The tensors of the two tables and two parameters, one of them replaced.
static std::string withParameters(const char *weights, const char *map) {
  std::string text = twoTables;
  text.pop_back();
  return text + ",\"p\":" + weights + ",\"m\":" + map + "}";
}

TEST_F(ImportWeightsTest, HoldsParametersAgainstTheModel) {
  auto array = MapAttr::get(&context, MapKind::array, MapAttr::kAllIds);
  module->push_back(parameter("p", {3}, Float32Type::get(&context)));
  module->push_back(parameter("m", {2}, array.getElementType(), array));
  std::string data(64, 'x');
  const char weights[] =
      R"({"dtype":"F32","shape":[3],"data_offsets":[44,56]})";
  const char map[] = R"({"dtype":"I32","shape":[2],"data_offsets":[56,64]})";

  std::string path = write(withLength(withParameters(weights, map), data));
  auto file = TensorFile::open(path);
  ASSERT_TRUE(bool(file)) << toString(file.takeError());
  auto tensors = findTables(*file, *module);
  ASSERT_TRUE(bool(tensors)) << toString(tensors.takeError());
  ASSERT_EQ(tensors->size(), 4u);
  EXPECT_EQ((*tensors)[2].name, "p");
  EXPECT_EQ((*tensors)[3].shape[0], 2);
  std::string copy = pathOf("copy.safetensors");
  ASSERT_FALSE(bool(writeWeights(*file, *module, copy)));
  EXPECT_EQ(TensorFile::open(copy)->getTensors().size(), 4u);

  EXPECT_EQ(errorOf(withLength(twoTables, data)),
            "no tensor for parameter \"p\" among its 2 tensors");
  auto wrong = [&](const char *weights, const char *map) {
    return errorOf(withLength(withParameters(weights, map), data));
  };
  EXPECT_EQ(wrong(R"({"dtype":"F32","shape":[2],"data_offsets":[44,52]})", map),
            "parameter \"p\": dtype is \"F32\" and shape [2], expected "
            "\"F32\" and [3]");
  EXPECT_EQ(
      wrong(R"({"dtype":"F32","shape":[3,1],"data_offsets":[44,56]})", map),
      "parameter \"p\": dtype is \"F32\" and shape [3, 1], expected \"F32\" "
      "and [3]");
  EXPECT_EQ(wrong(R"({"dtype":"I32","shape":[3],"data_offsets":[44,56]})", map),
            "parameter \"p\": dtype is \"I32\" and shape [3], expected "
            "\"F32\" and [3]");
  EXPECT_EQ(
      wrong(weights, R"({"dtype":"F32","shape":[2],"data_offsets":[56,64]})"),
      "parameter \"m\": dtype is \"F32\" and shape [2], expected \"I32\" "
      "and [2]");
}

TEST_F(ImportWeightsTest, HoldsMapsOfPairsAgainstTheModel) {
  auto sorted = MapAttr::get(&context, MapKind::sorted, MapAttr::kAllIds);
  int64_t shape[] = {ShapedType::kDynamic, 2};
  module->push_back(parameter("m", shape, sorted.getElementType(), sorted));
  std::string text = twoTables, data(76, 'x');
  text.pop_back();
  auto file = [&](const char *map) {
    return withLength(text + ",\"m\":" + map + "}", data);
  };
  auto opened = TensorFile::open(
      write(file(R"({"dtype":"I64","shape":[2,2],"data_offsets":[44,76]})")));
  ASSERT_TRUE(bool(opened)) << toString(opened.takeError());
  auto tensors = findTables(*opened, *module);
  ASSERT_TRUE(bool(tensors)) << toString(tensors.takeError());
  EXPECT_EQ(tensors->back().shape, (SmallVector<int64_t>{2, 2}));
  EXPECT_EQ(
      errorOf(file(R"({"dtype":"I64","shape":[4],"data_offsets":[44,76]})")),
      "parameter \"m\": dtype is \"I64\" and shape [4], expected \"I64\" and "
      "[entries, 2]");
  EXPECT_EQ(
      errorOf(file(R"({"dtype":"I32","shape":[4,2],"data_offsets":[44,76]})")),
      "parameter \"m\": dtype is \"I32\" and shape [4, 2], expected \"I64\" "
      "and [entries, 2]");
}

TEST_F(ImportWeightsTest, WritesTheCanonicalLayout) {
  std::vector<uint8_t> bytes(64, 1);
  ArrayRef<uint8_t> data(bytes);
  std::string path = pathOf("w.safetensors");
  ASSERT_FALSE(bool(
      writeTensorFile(path, {{"odd", "U8", {3}, data.take_front(3)},
                             {"four", "U8", {1, 4}, data.take_front(4)},
                             {"q\"\\\n\x01\xc3\xa9", "U8", {0, 4}, {}},
                             {"big", "U8", {64}, data},
                             {"also four", "U8", {4}, data.take_front(4)}})));
  std::string header =
      R"({"q\"\\\n\u0001é":{"dtype":"U8","shape":[0,4],"data_offsets":[0,0]},)"
      R"("big":{"dtype":"U8","shape":[64],"data_offsets":[0,64]},)"
      R"("four":{"dtype":"U8","shape":[1,4],"data_offsets":[64,68]},)"
      R"("also four":{"dtype":"U8","shape":[4],"data_offsets":[68,72]},)"
      R"("odd":{"dtype":"U8","shape":[3],"data_offsets":[72,75]}})";
  header.resize((header.size() + 8 + 63) / 64 * 64 - 8, ' ');
  EXPECT_EQ(read(path), withLength(header, std::string(75, '\1')));
}

TEST_F(ImportWeightsTest, WritesAFileWithoutTensors) {
  std::string path = pathOf("w.safetensors");
  ASSERT_FALSE(bool(writeTensorFile(path, {})));
  auto file = TensorFile::open(path);
  ASSERT_TRUE(bool(file)) << toString(file.takeError());
  EXPECT_TRUE(file->getTensors().empty());
}

TEST_F(ImportWeightsTest, RewritesAFileThatIsNotCanonical) {
  std::string path = write(withLength(twoTables, std::string(44, 'x')));
  auto file = TensorFile::open(path);
  ASSERT_TRUE(bool(file)) << toString(file.takeError());
  ASSERT_FALSE(bool(writeWeights(*file, *module, path)));
  std::string written = read(path);
  EXPECT_EQ(written.size(), 128u + 44u);

  // Canonical now: the very file stays.
  llvm::sys::fs::file_status before, after;
  llvm::sys::fs::status(path, before);
  auto again = TensorFile::open(path);
  ASSERT_FALSE(bool(writeWeights(*again, *module, path)));
  llvm::sys::fs::status(path, after);
  EXPECT_EQ(before.getUniqueID(), after.getUniqueID());
  EXPECT_EQ(read(path), written);
}

TEST_F(ImportWeightsTest, DropsOtherTensorsOnlyFromACopy) {
  std::string text = twoTables;
  text.insert(1,
              R"("more":{"dtype":"F32","shape":[],"data_offsets":[44,48]},)");
  std::string path = write(withLength(text, std::string(48, 'x')));
  auto file = TensorFile::open(path);
  ASSERT_TRUE(bool(file)) << toString(file.takeError());
  EXPECT_EQ(toString(writeWeights(*file, *module, path)),
            path + ": tensor \"more\" is no table of this model, and this "
                   "file is the one to be written; move it elsewhere first");
  std::string copy = pathOf("copy.safetensors");
  ASSERT_FALSE(bool(writeWeights(*file, *module, copy)));
  auto copied = TensorFile::open(copy);
  EXPECT_EQ(copied->getTensors().size(), 2u);
}

TEST_F(ImportWeightsTest, LeavesNoHalfFile) {
  auto write = [](llvm::raw_ostream &os) { os << std::string(1 << 20, 'x'); };
  std::string missing = pathOf("no/such/file");
  EXPECT_EQ(toString(writeFileAtomically(missing, write)),
            missing + ": cannot be written: No such file or directory");

  // A file too large stands for a full disk.
  std::string path = this->write("before");
  rlimit old, small;
  getrlimit(RLIMIT_FSIZE, &old);
  small = old;
  small.rlim_cur = 4096;
  auto handler = std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  std::string message = toString(writeFileAtomically(path, write));
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(message, path + ": cannot be written: File too large");
  EXPECT_EQ(read(path), "before");
  std::error_code code;
  int files = 0;
  for (llvm::sys::fs::directory_iterator it(directory, code), end; it != end;
       it.increment(code))
    ++files;
  EXPECT_EQ(files, 1);

  // A directory cannot be replaced by a file.
  std::string taken = pathOf("taken");
  llvm::sys::fs::create_directory(taken);
  EXPECT_EQ(toString(writeFileAtomically(taken, write)),
            taken + ": cannot be written: Is a directory");
}
