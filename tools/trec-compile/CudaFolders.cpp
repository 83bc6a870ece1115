//===- CudaFolders.cpp - Where programs of the CUDA toolkit are -----------===//

#include "CudaFolders.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"

#include <algorithm>

using llvm::SmallString;
using llvm::StringRef;
namespace fs = llvm::sys::fs;
namespace path = llvm::sys::path;

/// The folders in `parent` whose names begin so, in order.
static std::vector<std::string> listFolders(StringRef parent,
                                            StringRef prefix) {
  std::vector<std::string> found;
  std::error_code error;
  for (fs::directory_iterator entry(parent, error), end; !error && entry != end;
       entry.increment(error))
    if (path::filename(entry->path()).starts_with(prefix))
      found.push_back(entry->path());
  std::sort(found.begin(), found.end());
  return found;
}

/// <environment>/lib/python3.11/site-packages/nvidia/cu13/bin
static std::vector<std::string> listPackageFolders(StringRef environment) {
  SmallString<128> lib(environment);
  path::append(lib, "lib");
  std::vector<std::string> found;
  for (StringRef python : listFolders(lib, "python")) {
    SmallString<128> packages(python);
    path::append(packages, "site-packages", "nvidia");
    for (StringRef package : listFolders(packages, "cu")) {
      SmallString<128> programs(package);
      path::append(programs, "bin");
      found.push_back(programs.str().str());
    }
  }
  return found;
}

std::vector<std::string> listCudaFolders(const char *program) {
  std::vector<std::string> folders;
  if (auto home = llvm::sys::Process::GetEnv("CUDA_HOME"))
    folders.push_back(*home + "/bin");
  folders.push_back("/usr/local/cuda/bin");
  if (auto active = llvm::sys::Process::GetEnv("VIRTUAL_ENV"))
    for (std::string &folder : listPackageFolders(*active))
      folders.push_back(std::move(folder));
  // Set-up puts the environment beside the folder that this program is built
  // in: .venv and build/bin.
  SmallString<128> project(fs::getMainExecutable(
      program, reinterpret_cast<void *>(&listCudaFolders)));
  for (int i = 0; i < 3; ++i)
    path::remove_filename(project);
  path::append(project, ".venv");
  for (std::string &folder : listPackageFolders(project))
    folders.push_back(std::move(folder));
  folders.erase(std::remove_if(folders.begin(), folders.end(),
                               [](const std::string &folder) {
                                 return !fs::is_directory(folder);
                               }),
                folders.end());
  return folders;
}
