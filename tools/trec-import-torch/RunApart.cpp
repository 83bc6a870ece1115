//===- RunApart.cpp - Work that may kill its process ----------------------===//

#include "RunApart.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Signals.h"
#include "llvm/Support/raw_ostream.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace llvm;

[[noreturn]] static void runChild(function_ref<int()> body) {
  // The parent says what happened; a trace of LibTorch's stack says nothing.
  sys::unregisterHandlers();
  rlimit noCore = {0, 0};
  setrlimit(RLIMIT_CORE, &noCore);
  int status = body();
  outs().flush();
  errs().flush();
  std::_Exit(status);
}

Expected<int> mlir::trec::runApart(function_ref<int()> body) {
  outs().flush();
  errs().flush();
  pid_t child = fork();
  if (child == 0)
    runChild(body);
  int status = 0;
  pid_t waited = child;
  while (child > 0 && (waited = waitpid(child, &status, 0)) < 0 &&
         errno == EINTR) {
  }
  if (waited < 0)
    return createStringError(Twine("no process for it: ") +
                             std::strerror(errno));
  if (WIFSIGNALED(status))
    return createStringError("signal " + Twine(WTERMSIG(status)) + " (" +
                             strsignal(WTERMSIG(status)) + ")");
  return WEXITSTATUS(status);
}
