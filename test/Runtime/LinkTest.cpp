// The embedded object and stubs: what a model linked from them asks of the machine that it runs on. The model is linked
// by CMake with the very command line that the compiler uses.
#include "Support.h"

#include <dlfcn.h>
#include <elf.h>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>

using namespace trectest;

namespace {

std::string readFile(const char *path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  return std::string(std::istreambuf_iterator<char>(in), {});
}

/// What these tests want to know of a 64-bit ELF file.
struct Elf {
  explicit Elf(const char *path) : bytes(readFile(path)) {
    const auto &header = at<Elf64_Ehdr>(0);
    for (int i = 0; i < header.e_shnum; ++i)
      readSection(at<Elf64_Shdr>(header.e_shoff + i * sizeof(Elf64_Shdr)));
  }
  std::set<std::string> undefined, exported, needed, versions, visible;
  bool hasSoname = false;

private:
  std::string bytes;
  template <typename T> const T &at(uint64_t offset) const { return *reinterpret_cast<const T *>(&bytes[offset]); }
  std::string text(const Elf64_Shdr &section, uint64_t offset) const {
    const auto &header = at<Elf64_Ehdr>(0);
    return &bytes[at<Elf64_Shdr>(header.e_shoff + section.sh_link * sizeof(Elf64_Shdr)).sh_offset + offset];
  }
  void readSection(const Elf64_Shdr &section) {
    const uint64_t begin = section.sh_offset, end = begin + section.sh_size;
    if (section.sh_type == SHT_SYMTAB || section.sh_type == SHT_DYNSYM)
      for (uint64_t i = begin + sizeof(Elf64_Sym); i < end; i += sizeof(Elf64_Sym))
        readSymbol(section, at<Elf64_Sym>(i));
    if (section.sh_type == SHT_DYNAMIC)
      for (uint64_t i = begin; i < end; i += sizeof(Elf64_Dyn)) {
        const auto &entry = at<Elf64_Dyn>(i);
        hasSoname |= entry.d_tag == DT_SONAME;
        if (entry.d_tag == DT_NEEDED)
          needed.insert(text(section, entry.d_un.d_val));
      }
    if (section.sh_type == SHT_GNU_verneed)
      readVersions(section);
  }
  void readSymbol(const Elf64_Shdr &section, const Elf64_Sym &symbol) {
    if (ELF64_ST_BIND(symbol.st_info) == STB_LOCAL)
      return;
    const std::string name = text(section, symbol.st_name);
    if (symbol.st_shndx == SHN_UNDEF)
      undefined.insert(name);
    else if (ELF64_ST_VISIBILITY(symbol.st_other) == STV_DEFAULT)
      visible.insert(name);
    if (section.sh_type == SHT_DYNSYM && symbol.st_shndx != SHN_UNDEF)
      exported.insert(name);
  }
  void readVersions(const Elf64_Shdr &section) {
    uint64_t file = section.sh_offset;
    for (unsigned i = 0; i < section.sh_info; ++i, file += at<Elf64_Verneed>(file).vn_next) {
      uint64_t version = file + at<Elf64_Verneed>(file).vn_aux;
      for (int j = 0; j < at<Elf64_Verneed>(file).vn_cnt; ++j, version += at<Elf64_Vernaux>(version).vna_next)
        versions.insert(text(section, at<Elf64_Vernaux>(version).vna_name));
    }
  }
};

std::set<std::string> namesOf(const char *map) {
  const std::string text = std::regex_replace(readFile(map), std::regex("/\\*[^]*?\\*/"), "");
  const std::regex name("([a-z_][a-z_0-9]*)\\s*;");
  std::set<std::string> names;
  for (std::sregex_iterator i(text.begin(), text.end(), name), end; i != end; ++i)
    names.insert((*i)[1]);
  return names;
}

} // namespace

TEST(Link, RuntimeNeedsOnlyWhatTheStubHas) {
  Elf runtime(TREC_TEST_RUNTIME_OBJECT);
  std::set<std::string> allowed = namesOf(TREC_TEST_LIBC_MAP);
  EXPECT_GT(allowed.size(), 30u);
  allowed.insert({"trec_image", "trec_model_api"});
  for (const std::string &name : runtime.undefined)
    EXPECT_TRUE(allowed.count(name)) << name;
  EXPECT_EQ(runtime.visible, std::set<std::string>());
}

TEST(Link, StubsAreNamedAsTheLibraries) {
  EXPECT_EQ(Elf(TREC_TEST_LIBC_STUB).exported.count("memcpy"), 1u);
  EXPECT_EQ(Elf(TREC_TEST_LIBM_STUB).exported.count("fmaf"), 1u);
}

TEST(Link, ModelExportsOneSymbolAndNeedsLibcAlone) {
  Elf model(TREC_TEST_MODEL);
  EXPECT_EQ(model.exported, std::set<std::string>{"test_model_query"});
  EXPECT_EQ(model.needed, (std::set<std::string>{"libc.so.6", "libm.so.6"}));
  EXPECT_FALSE(model.hasSoname);
  for (const std::string &version : model.versions) {
    int minor = 0;
    ASSERT_EQ(std::sscanf(version.c_str(), "GLIBC_2.%d", &minor), 1) << version;
    EXPECT_LE(minor, 34) << version;
  }
  EXPECT_TRUE(model.versions.count("GLIBC_2.14")); // memcpy, so versions are recorded at all
}

TEST(Link, LinkedModelRuns) {
  void *library = dlopen(TREC_TEST_MODEL, RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(library, nullptr) << dlerror();
  auto query = reinterpret_cast<trec_query>(dlsym(library, "test_model_query"));
  ASSERT_NE(query, nullptr);
  Error error;
  const trec_api *api = query(TREC_ABI_VERSION, &error);
  ASSERT_NE(api, nullptr);
  ASSERT_NE(api, &trec_model_api); // its own copy of everything
  const std::string file = goodFile();
  trec_create_options options = {};
  options.size = sizeof options;
  options.weights_data = file.data();
  options.weights_bytes = file.size();
  options.threads = 3;
  trec_model *model;
  ASSERT_EQ(api->create(&options, &model, &error), TREC_OK) << error.message;
  EXPECT_STREQ(api->cpu_level(model), "x86-64");
  const Ids ids = randomIds(3, 800, 6);
  Batch batch(ids);
  trec_forward_args args = batch.args();
  EXPECT_EQ(api->forward(model, &args, &error), TREC_OK) << error.message;
  EXPECT_EQ(batch.output, expected(ids));
  api->destroy(model);
  dlclose(library);
}
