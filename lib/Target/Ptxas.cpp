//===- Ptxas.cpp - From PTX to the code of a chip -------------------------===//

#include "trec/Target/Ptxas.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir::trec;

llvm::Expected<std::string>
mlir::trec::findPtxas(llvm::ArrayRef<std::string> folders) {
  for (llvm::StringRef folder : folders) {
    llvm::SmallString<128> path(folder);
    llvm::sys::path::append(path, "ptxas");
    if (llvm::sys::fs::can_execute(path))
      return path.str().str();
  }
  if (llvm::ErrorOr<std::string> found = llvm::sys::findProgramByName("ptxas"))
    return *found;
  return llvm::createStringError(
      "cannot find ptxas, which code for GPUs needs: it is not in PATH" +
      (folders.empty() ? "" : ", " + llvm::join(folders, ", ")) +
      "; install the CUDA toolkit or the Python package nvidia-cuda-nvcc");
}

namespace {

/// A file that goes when this does.
class TemporaryFile {
public:
  explicit TemporaryFile(llvm::StringRef extension) {
    error = llvm::sys::fs::createTemporaryFile("trec", extension, path);
    if (!error)
      remover.setFile(path);
  }

  llvm::Expected<std::string> read() const {
    auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false,
                                              /*RequiresNullTerminator=*/false);
    if (!buffer)
      return llvm::createStringError("cannot read " + path.str() + ": " +
                                     buffer.getError().message());
    return (*buffer)->getBuffer().str();
  }

  llvm::SmallString<128> path;
  std::error_code error;

private:
  llvm::FileRemover remover;
};

} // namespace

/// The number in front of `unit` in a line, or 0.
static int64_t findNumber(llvm::StringRef line, llvm::StringRef unit) {
  size_t end = line.find(unit);
  if (end == llvm::StringRef::npos)
    return 0;
  llvm::StringRef front = line.take_front(end).rtrim();
  int64_t number = 0;
  size_t begin = front.find_last_not_of("0123456789");
  bool failed = front.drop_front(begin + 1).getAsInteger(10, number);
  return failed ? 0 : number;
}

std::vector<KernelResources>
mlir::trec::parseResources(llvm::StringRef messages) {
  std::vector<KernelResources> kernels;
  for (llvm::StringRef line : llvm::split(messages, '\n')) {
    auto [front, name] = line.split("Compiling entry function '");
    if (!name.empty()) {
      kernels.emplace_back().name = name.split('\'').first.str();
      continue;
    }
    if (kernels.empty())
      continue;
    KernelResources &kernel = kernels.back();
    if (line.contains("bytes stack frame")) {
      kernel.stackBytes = findNumber(line, "bytes stack frame");
      kernel.spillStoreBytes = findNumber(line, "bytes spill stores");
      kernel.spillLoadBytes = findNumber(line, "bytes spill loads");
    }
    if (line.contains("Used ")) {
      kernel.registers = findNumber(line, "registers");
      kernel.sharedBytes = findNumber(line, "bytes smem");
    }
  }
  llvm::sort(kernels, [](auto &a, auto &b) { return a.name < b.name; });
  return kernels;
}

llvm::Expected<AssembledCode> mlir::trec::runPtxas(llvm::StringRef program,
                                                   llvm::StringRef chip,
                                                   llvm::StringRef ptx) {
  TemporaryFile source("ptx"), binary("cubin"), messages("txt");
  for (const TemporaryFile *file : {&source, &binary, &messages})
    if (file->error)
      return llvm::createStringError("cannot make a temporary file: " +
                                     file->error.message());
  if (llvm::Error error =
          llvm::writeToOutput(source.path, [&](llvm::raw_ostream &os) {
            os << ptx;
            return llvm::Error::success();
          }))
    return std::move(error);
  std::string arch = ("-arch=" + chip).str(), failure;
  llvm::StringRef arguments[] = {program, arch,        "-v",
                                 "-o",    binary.path, source.path};
  std::optional<llvm::StringRef> streams[] = {std::nullopt, messages.path,
                                              messages.path};
  int status = llvm::sys::ExecuteAndWait(
      program, arguments, std::nullopt, streams,
      /*SecondsToWait=*/0, /*MemoryLimit=*/0, &failure);
  llvm::Expected<std::string> said = messages.read();
  if (!said)
    return said.takeError();
  if (status != 0)
    return llvm::createStringError(program + " failed for " + chip + ": " +
                                   failure + llvm::StringRef(*said).trim());
  llvm::Expected<std::string> cubin = binary.read();
  if (!cubin)
    return cubin.takeError();
  return AssembledCode{std::move(*cubin), parseResources(*said)};
}
