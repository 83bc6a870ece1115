// What is found of this machine.
#include "Support.h"

extern "C" {
#include "Machine.h"
}

#include <fstream>

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

TEST(Machine, ItsCachesHaveSizes) {
  const trec_cpu cpu = trec_find_cpu();
  EXPECT_GE(cpu.second_level, 64 << 10);
  EXPECT_LE(cpu.second_level, 256 << 20);
  EXPECT_GE(cpu.third_level, 0);
}
