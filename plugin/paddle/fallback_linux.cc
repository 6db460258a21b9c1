// Counts the ops that Paddle runs on the CPU because there is no mps kernel for them.
//
// Paddle says nothing about such an op, and 3.3.1 has no hook for it: the choice is made in
// KernelFactory::SelectKernelOrThrowError, which libphi calls once per eager op through its
// procedure linkage table. install_fallback_tracking() points that table's entry at a function that
// calls the original and looks at the answer. Nothing else changes, and the cost is a few
// nanoseconds per op. If the entry cannot be found, ops are not counted and
// fallback_tracking_problem() says why. Programs lowered by PIR choose kernels elsewhere and are
// not counted.
#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "paddle/phi/core/kernel_factory.h"
#include "plugin/core/env.h"
#include "plugin/paddle/fallback.h"
#include "plugin/paddle/op_counts.h"

namespace mps::paddle {
namespace {

constexpr const char* kSymbol =
    "_ZNK3phi13KernelFactory24SelectKernelOrThrowErrorERKNSt7__cxx1112basic_stringIcSt11char_"
    "traitsIcESaIcEEERKNS_"
    "9KernelKeyEb";

std::string& problem() {
  static auto* const text = new std::string("fallback tracking was not installed.");
  return *text;
}

// The member function as a free one: the implicit `this` is the first argument.
phi::KernelResult select_kernel(const phi::KernelFactory* factory, const std::string& name, const phi::KernelKey& key,
                                bool use_strided_kernel) {
  phi::KernelResult result = factory->SelectKernelOrThrowError(name, key, use_strided_kernel);
  if (__builtin_expect(result.has_fallback_cpu, 0)) {
    count_cpu_fallback(name.c_str(), phi::DataTypeToString(key.dtype()).c_str());
  }
  return result;
}

struct Table {
  const ElfW(Rela) * relocations = nullptr;
  size_t bytes = 0;
  const ElfW(Sym) * symbols = nullptr;
  const char* strings = nullptr;
};

Table read_table(const dl_phdr_info& library) {
  Table table;
  for (int i = 0; i < library.dlpi_phnum; ++i) {
    if (library.dlpi_phdr[i].p_type != PT_DYNAMIC) continue;
    const auto* entry = reinterpret_cast<const ElfW(Dyn)*>(library.dlpi_addr + library.dlpi_phdr[i].p_vaddr);
    for (; entry->d_tag != DT_NULL; ++entry) {
      // glibc has already turned these addresses into absolute ones.
      if (entry->d_tag == DT_JMPREL) table.relocations = reinterpret_cast<const ElfW(Rela)*>(entry->d_un.d_ptr);
      if (entry->d_tag == DT_PLTRELSZ) table.bytes = entry->d_un.d_val;
      if (entry->d_tag == DT_SYMTAB) table.symbols = reinterpret_cast<const ElfW(Sym)*>(entry->d_un.d_ptr);
      if (entry->d_tag == DT_STRTAB) table.strings = reinterpret_cast<const char*>(entry->d_un.d_ptr);
    }
  }
  return table;
}

bool make_writable(void** slot) {
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t begin = reinterpret_cast<uintptr_t>(slot) & ~(page - 1);
  return mprotect(reinterpret_cast<void*>(begin), page, PROT_READ | PROT_WRITE) == 0;
}

// Called for every loaded library; `count` counts the entries redirected.
int redirect(dl_phdr_info* library, size_t, void* count) {
  const char* path = library->dlpi_name;
  // Only Paddle's own callers: this plugin must keep reaching the original.
  if (path == nullptr || (std::strstr(path, "libphi") == nullptr && std::strstr(path, "libpaddle.so") == nullptr)) {
    return 0;
  }
  const Table table = read_table(*library);
  if (table.relocations == nullptr || table.symbols == nullptr || table.strings == nullptr) return 0;
  for (size_t i = 0; i < table.bytes / sizeof(ElfW(Rela)); ++i) {
    const ElfW(Rela) & relocation = table.relocations[i];
    const auto& symbol = table.symbols[relocation.r_info >> 32];
    if (std::strcmp(table.strings + symbol.st_name, kSymbol) != 0) continue;
    void** slot = reinterpret_cast<void**>(library->dlpi_addr + relocation.r_offset);
    if (!make_writable(slot)) continue;
    *slot = reinterpret_cast<void*>(&select_kernel);
    ++*static_cast<int*>(count);
  }
  return 0;
}

}  // namespace

void install_fallback_tracking() {
  if (!env::track_fallback()) {
    problem() = "switched off by PADDLE_MPS_TRACK_FALLBACK=0.";
    return;
  }
  int redirected = 0;
  dl_iterate_phdr(redirect, &redirected);
  problem() = redirected != 0 ? "" : "this build of Paddle does not call its kernel factory the expected way.";
}

const char* fallback_tracking_problem() { return problem().c_str(); }

}  // namespace mps::paddle
