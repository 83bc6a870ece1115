//===- LinkSharedLibrary.cpp - Object code to a shared library ------------===//

#include "trec/Target/LinkSharedLibrary.h"
#include "trec/Target/RuntimeObjects.h"

#include "lld/Common/Driver.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <mutex>

LLD_HAS_DRIVER(elf)

using namespace mlir;
using namespace mlir::trec;

namespace {

/// A folder for the linker's input, removed at the end of the scope.
class TemporaryFolder {
public:
  ~TemporaryFolder() { llvm::sys::fs::remove_directories(path); }

  llvm::Error create() {
    if (std::error_code error =
            llvm::sys::fs::createUniqueDirectory("trec-link", path))
      return llvm::createStringError(error, "cannot create temporary folder " +
                                                path + ": " + error.message());
    return llvm::Error::success();
  }

  llvm::Expected<std::string> write(const Twine &name, StringRef data) {
    SmallString<128> file(path);
    llvm::sys::path::append(file, name);
    std::error_code error;
    llvm::raw_fd_ostream os(file, error);
    if (!error) {
      os << data;
      os.close();
      error = os.error();
      os.clear_error();
    }
    if (error)
      return llvm::createStringError(error, "cannot write " + Twine(file) +
                                                ": " + error.message());
    return file.str().str();
  }

private:
  SmallString<128> path;
};

} // namespace

static llvm::Error runLinker(ArrayRef<std::string> arguments) {
  std::vector<const char *> pointers;
  for (const std::string &argument : arguments)
    pointers.push_back(argument.c_str());
  std::string output, errors;
  llvm::raw_string_ostream outputStream(output), errorStream(errors);
  // The linker has globals, and the tuner compiles several models at a time.
  static std::mutex mutex;
  std::lock_guard<std::mutex> lock(mutex);
  lld::Result result = lld::lldMain(pointers, outputStream, errorStream,
                                    {{lld::Gnu, &lld::elf::link}});
  if (result.retCode == 0)
    return llvm::Error::success();
  return llvm::createStringError("cannot link: " +
                                 StringRef(errors).rtrim().str());
}

/// Links into a file beside `path` and renames it, so that whoever loads `path`
/// never sees half of it.
static llvm::Error linkTo(StringRef path, std::vector<std::string> arguments) {
  SmallString<128> temporary;
  if (std::error_code error =
          llvm::sys::fs::createUniqueFile(path + ".%%%%%%", temporary))
    return llvm::createStringError(error, "cannot write " + path + ": " +
                                              error.message());
  llvm::scope_exit cleanUp([&] { llvm::sys::fs::remove(temporary); });
  arguments.insert(arguments.end(), {"-o", temporary.str().str()});
  if (llvm::Error error = runLinker(arguments))
    return error;
  if (std::error_code error = llvm::sys::fs::rename(temporary, path))
    return llvm::createStringError(error, "cannot write " + path + ": " +
                                              error.message());
  return llvm::Error::success();
}

static llvm::Error addFile(TemporaryFolder &folder, const Twine &name,
                           StringRef data,
                           std::vector<std::string> &arguments) {
  llvm::Expected<std::string> file = folder.write(name, data);
  if (!file)
    return file.takeError();
  arguments.push_back(*file);
  return llvm::Error::success();
}

static llvm::Error addObjects(TemporaryFolder &folder,
                              ArrayRef<StringRef> objects,
                              std::vector<std::string> &arguments) {
  for (auto [index, object] : llvm::enumerate(objects))
    if (llvm::Error error =
            addFile(folder, "object" + Twine(index) + ".o", object, arguments))
      return error;
  return llvm::Error::success();
}

/// The runtime, and the stubs that it and the kernels are linked against. libm
/// is needed only where a kernel calls fmaf.
static llvm::Error addRuntime(TemporaryFolder &folder,
                              Architecture architecture,
                              std::vector<std::string> &arguments) {
  RuntimeObjects files = getRuntimeObjects(architecture);
  if (llvm::Error error =
          addFile(folder, "trec_runtime.o", files.runtime, arguments))
    return error;
  arguments.push_back("--as-needed");
  if (llvm::Error error = addFile(folder, "libc.so.6", files.libc, arguments))
    return error;
  return addFile(folder, "libm.so.6", files.libm, arguments);
}

llvm::Error mlir::trec::linkSharedLibrary(ArrayRef<StringRef> objects,
                                          Architecture architecture,
                                          StringRef path) {
  TemporaryFolder folder;
  if (llvm::Error error = folder.create())
    return error;
  // Relocated once at load and then read-only; found by a hash of the content.
  std::vector<std::string> arguments = {"ld.lld",
                                        "-shared",
                                        "--no-undefined",
                                        "-z",
                                        "relro",
                                        "-z",
                                        "now",
                                        "-z",
                                        "noexecstack",
                                        "--gc-sections",
                                        "--strip-all",
                                        "--hash-style=gnu",
                                        "--build-id=sha1",
                                        "--threads=1"};
  if (llvm::Error error = addObjects(folder, objects, arguments))
    return error;
  if (llvm::Error error = addRuntime(folder, architecture, arguments))
    return error;
  return linkTo(path, std::move(arguments));
}

llvm::Error mlir::trec::linkRelocatable(ArrayRef<StringRef> objects,
                                        StringRef path) {
  TemporaryFolder folder;
  if (llvm::Error error = folder.create())
    return error;
  std::vector<std::string> arguments = {"ld.lld", "-r", "--threads=1"};
  if (llvm::Error error = addObjects(folder, objects, arguments))
    return error;
  return linkTo(path, std::move(arguments));
}
