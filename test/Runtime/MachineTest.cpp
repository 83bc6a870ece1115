// What is found of this machine.
#include "Support.h"

extern "C" {
#include "Machine.h"
}

#include <algorithm>
#include <fstream>
#include <unistd.h>

namespace {

/// The first line of /proc/cpuinfo that begins so; empty: there is none.
std::string lineOfCpuInfo(const std::string &begin) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.compare(0, begin.size(), begin) == 0)
      return line;
  return "";
}

} // namespace

TEST(Machine, ItsMakerIsTheSystems) {
  const std::string vendor = lineOfCpuInfo("vendor_id");
  const auto names = [&](const char *name) { return vendor.find(name) != std::string::npos; };
  EXPECT_EQ(trec_find_cpu().maker, names("AuthenticAMD")   ? TREC_CPU_AMD
                                   : names("GenuineIntel") ? TREC_CPU_INTEL
                                                           : TREC_CPU_OTHER);
}

TEST(Machine, ItsCachesHaveTheSizesThatTheSystemSays) {
  const trec_cpu cpu = trec_find_cpu();
  const long second = sysconf(_SC_LEVEL2_CACHE_SIZE);
  EXPECT_EQ(cpu.second_level, second > 0 ? second : 1 << 20);
  EXPECT_EQ(cpu.third_level, std::max(sysconf(_SC_LEVEL3_CACHE_SIZE), 0L));
}
