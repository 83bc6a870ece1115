//===- CudaFolders.h - Where programs of the CUDA toolkit are ---*- C++ -*-===//
//
//   options.ptxasFolders = listCudaFolders(argv[0]);
//
//===----------------------------------------------------------------------===//

#ifndef TREC_TOOLS_TREC_COMPILE_CUDAFOLDERS_H
#define TREC_TOOLS_TREC_COMPILE_CUDAFOLDERS_H

#include <string>
#include <vector>

/// Folders of programs, the first to look into first: of the toolkit that
/// CUDA_HOME names, of /usr/local/cuda, and of the Python package
/// nvidia-cuda-nvcc in the environment that is active or that the project's
/// set-up made. Those that exist.
std::vector<std::string> listCudaFolders(const char *program);

#endif // TREC_TOOLS_TREC_COMPILE_CUDAFOLDERS_H
