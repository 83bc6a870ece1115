//===- CompareKernels.cpp - Which of some kernels is faster ---------------===//

#include "CompareKernels.h"

#include "llvm/ADT/STLExtras.h"

#include <cmath>
#include <ctime>

using namespace mlir;
using namespace mlir::trec;

/// Long enough for a clock that is a system call.
static constexpr double kTurnSeconds = 0.0004;
static constexpr size_t kFewestRounds = 25;

/// What this thread has computed; what others take from it does not count.
static double readClock() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return double(time.tv_sec) + double(time.tv_nsec) * 1e-9;
}

static double takeMedian(std::vector<double> numbers) {
  auto middle = numbers.begin() + numbers.size() / 2;
  std::nth_element(numbers.begin(), middle, numbers.end());
  return *middle;
}

std::pair<double, double> mlir::trec::findMedian(std::vector<double> numbers) {
  double median = takeMedian(numbers);
  auto count = double(numbers.size());
  for (double &number : numbers)
    number = std::abs(number - median);
  // Of normal numbers: the deviation is 1.4826 medians of distances, and the
  // error of a median 1.2533 times that of a mean.
  double deviation = 1.4826 * takeMedian(std::move(numbers));
  return {median, 2 * 1.2533 * deviation / std::sqrt(count)};
}

namespace {

/// Runs kernels over the batches in turn, going on where it stopped.
class Turns {
public:
  explicit Turns(GroupLookups &lookups) : lookups(lookups) {}

  /// Nanoseconds of a lookup, over one turn.
  double time(KernelPair kernels);
  /// Makes a turn as many batches as take long enough, of all loads alike.
  void measureLength(KernelPair kernels);
  double getSpent() const { return spent; }

private:
  GroupLookups &lookups;
  size_t length = 0, next = 0;
  double spent = 0;
};

} // namespace

double Turns::time(KernelPair kernels) {
  int64_t ids = 0;
  double begin = readClock();
  for (size_t i = 0; i < length; ++i) {
    lookups.run(kernels, next);
    ids += lookups.countIds(next);
    next = next + 1 == lookups.getNumBatches() ? 0 : next + 1;
  }
  double seconds = readClock() - begin;
  spent += seconds;
  return seconds * 1e9 / double(std::max<int64_t>(ids, 1));
}

void Turns::measureLength(KernelPair kernels) {
  constexpr size_t mostBatches = 1 << 16;
  double before;
  length = lookups.getNumLoads();
  do {
    before = spent;
    time(kernels);
    if (spent - before >= kTurnSeconds)
      break;
    length *= 2;
  } while (length < mostBatches);
  spent = 0;
}

std::vector<KernelTime> mlir::trec::compareKernels(GroupLookups &lookups,
                                                   ArrayRef<KernelPair> kernels,
                                                   double seconds) {
  Turns turns(lookups);
  turns.measureLength(kernels.front());
  std::vector<std::vector<double>> times(kernels.size()),
      ratios(kernels.size());
  for (size_t round = 0; round < kFewestRounds || turns.getSpent() < seconds;
       ++round) {
    // Another one goes first in each round.
    for (size_t i = 0; i < kernels.size(); ++i) {
      size_t kernel = (round + i) % kernels.size();
      times[kernel].push_back(turns.time(kernels[kernel]));
    }
    for (size_t kernel = 0; kernel < kernels.size(); ++kernel)
      ratios[kernel].push_back(times[kernel].back() / times[0].back());
  }
  std::vector<KernelTime> result;
  for (size_t kernel = 0; kernel < kernels.size(); ++kernel) {
    auto [ratio, error] = findMedian(std::move(ratios[kernel]));
    result.push_back(
        {findMedian(std::move(times[kernel])).first, ratio, error});
  }
  return result;
}
