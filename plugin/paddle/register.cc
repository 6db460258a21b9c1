#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

// A function-local static: rows are added by static constructors of other files, in any order.
std::vector<KernelRow>& rows() {
  static auto* const instance = new std::vector<KernelRow>;
  return *instance;
}

}  // namespace

void add_kernel_row(const KernelRow& row) { rows().push_back(row); }

void register_kernels() {
  for (const KernelRow& row : rows()) {
    for (phi::DataType dtype : row.takes.dtypes) {
      const auto add = [&](phi::DataLayout layout) {
        phi::KernelRegistrar(phi::RegType::OUTER, row.name, "mps", layout, dtype, row.parse, row.define, row.boxed,
                             row.typed);
      };
      add(phi::DataLayout::ALL_LAYOUT);  // Paddle never looks a kernel of a custom device up under NCHW
      if (row.takes.are_views) add(phi::DataLayout::STRIDED);  // what eager mode prefers; programs have no views
    }
  }
}

}  // namespace mps::paddle
