#include "kernels/cpu/matmul_tasks.h"

#include <algorithm>

namespace conclave {
namespace {

// A task should be long beside the cost of handing it out (about 0.1 us), and short beside the
// whole product. Reading 64 KiB of weights, or two million multiply-adds, takes 5 to 30 us.
constexpr int64_t kTaskBytes = 64 << 10;
constexpr int64_t kTaskMacs = 2 << 20;
constexpr int64_t kTasksPerThread = 4;
// Rows are cut no finer, so that tiles stay full.
constexpr int64_t kLeastRows = 48;

int64_t CeilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }

int64_t PanelsPerTask(const ProductExtent& product) {
  const int64_t by_bytes = kTaskBytes / product.panel_bytes;
  const int64_t by_macs = kTaskMacs / (product.panel_macs * product.rows);
  const int64_t panels = std::max<int64_t>(1, std::min(by_bytes, by_macs));
  return CeilDivide(panels, product.panel_multiple) * product.panel_multiple;
}

}  // namespace

void CutIntoTasks(std::span<const ProductExtent> products, int threads,
                  std::vector<MatmulTask>& tasks) {
  tasks.clear();
  int64_t panel_tasks = 0;
  for (const ProductExtent& product : products) {
    if (product.rows > 0) panel_tasks += CeilDivide(product.panels, PanelsPerTask(product));
  }
  const int64_t row_parts =
      panel_tasks == 0 ? 1 : CeilDivide(threads == 1 ? 1 : kTasksPerThread * threads, panel_tasks);
  for (size_t index = 0; index < products.size(); ++index) {
    const ProductExtent& product = products[index];
    if (product.rows == 0) continue;
    const int64_t panels = PanelsPerTask(product);
    const int64_t rows = std::max(kLeastRows, CeilDivide(product.rows, row_parts));
    for (int64_t panel = 0; panel < product.panels; panel += panels) {
      for (int64_t row = 0; row < product.rows; row += rows) {
        tasks.push_back({static_cast<int64_t>(index), panel,
                         std::min(panel + panels, product.panels), row,
                         std::min(row + rows, product.rows)});
      }
    }
  }
}

}  // namespace conclave
