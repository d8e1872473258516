#include "kernels/cpu/matmul/tasks.h"

#include <algorithm>

namespace conclave {
namespace {

// What one core does in a nanosecond, roughly: it decides how work is shared, not what it takes.
constexpr double kBytesPerNanosecond = 16;
constexpr double kMacsPerNanosecond = 100;
// Handing out a task takes about 0.1 us.
constexpr double kShortestTask = 4000;
// A task takes at most this part of a thread's share of what remains.
constexpr double kPartOfShare = 0.25;
// Rows are cut no finer, so that tiles stay full.
constexpr int64_t kLeastRows = 56;

double PanelCost(const ProductExtent& product) {
  return std::max(static_cast<double>(product.panel_bytes) / kBytesPerNanosecond,
                  static_cast<double>(product.panel_macs * product.rows) / kMacsPerNanosecond);
}

int64_t PanelsFor(double value, int64_t multiple) {
  return std::max<int64_t>(1, static_cast<int64_t>(value) / multiple) * multiple;
}

}  // namespace

void CutIntoTasks(std::span<const ProductExtent> products, int threads,
                  std::vector<MatmulTask>& tasks) {
  tasks.clear();
  double remaining = 0;
  double longest = 0;
  for (const ProductExtent& product : products) {
    if (product.rows == 0) continue;
    remaining += PanelCost(product) * static_cast<double>(product.panels);
    longest = std::max(longest, PanelCost(product) * static_cast<double>(product.panel_multiple));
  }
  const double share = kPartOfShare / threads;
  const int64_t row_parts =
      threads == 1 ? 1 : static_cast<int64_t>(longest / (remaining * share)) + 1;
  for (size_t index = 0; index < products.size(); ++index) {
    const ProductExtent& product = products[index];
    if (product.rows == 0) continue;
    const double cost = PanelCost(product);
    const int64_t rows =
        std::max(std::min(product.rows, kLeastRows), (product.rows - 1) / row_parts + 1);
    for (int64_t panel = 0; panel < product.panels;) {
      const double target = std::max(remaining * share, kShortestTask);
      const int64_t end =
          std::min(product.panels, panel + PanelsFor(target / cost, product.panel_multiple));
      for (int64_t row = 0; row < product.rows; row += rows) {
        tasks.push_back(
            {static_cast<int64_t>(index), panel, end, row, std::min(row + rows, product.rows)});
      }
      remaining -= cost * static_cast<double>(end - panel);
      panel = end;
    }
  }
}

}  // namespace conclave
