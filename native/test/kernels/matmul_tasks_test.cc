#include "kernels/cpu/matmul/tasks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace conclave {
namespace {

double Work(const MatmulTask& task) {
  return static_cast<double>(task.panel_end - task.panel_begin) *
         static_cast<double>(task.row_end - task.row_begin);
}

TEST(CutIntoTasks, CoversEveryPanelAndRowOnce) {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    std::vector<ProductExtent> products(1 + random() % 5);
    for (ProductExtent& product : products) {
      product = {.panels = static_cast<int64_t>(1 + random() % 40),
                 .panel_multiple = static_cast<int64_t>(1 + random() % 2),
                 .rows = random() % 3 == 0 ? 0 : static_cast<int64_t>(random() % 600),
                 .panel_bytes = static_cast<int64_t>(1 + random() % 200000),
                 .panel_macs = static_cast<int64_t>(1 + random() % 100000)};
    }
    std::vector<MatmulTask> tasks = {{9, 9, 9, 9, 9}};
    CutIntoTasks(products, 1 + static_cast<int>(random() % 8), tasks);
    std::vector<std::vector<int>> covered;
    for (const ProductExtent& product : products) {
      covered.emplace_back(static_cast<size_t>(product.panels * product.rows));
    }
    for (const MatmulTask& task : tasks) {
      const ProductExtent& product = products[static_cast<size_t>(task.product)];
      EXPECT_EQ(task.panel_begin % product.panel_multiple, 0);
      for (int64_t panel = task.panel_begin; panel < task.panel_end; ++panel) {
        for (int64_t row = task.row_begin; row < task.row_end; ++row) {
          ++covered[static_cast<size_t>(task.product)].at(
              static_cast<size_t>(panel * product.rows + row));
        }
      }
    }
    for (const auto& product : covered) {
      EXPECT_TRUE(
          std::all_of(product.begin(), product.end(), [](int times) { return times == 1; }));
    }
  }
}

TEST(CutIntoTasks, OneThreadReadsEachPanelForAllRows) {
  std::vector<MatmulTask> tasks;
  const std::vector<ProductExtent> experts(
      64,
      {.panels = 16, .panel_multiple = 1, .rows = 64, .panel_bytes = 65536, .panel_macs = 32768});
  for (int threads : {1, 2, 16}) {
    CutIntoTasks(experts, threads, tasks);
    for (const MatmulTask& task : tasks) EXPECT_EQ(task.row_end - task.row_begin, 64);
  }
}

// No task at the end may hold up the others for long: with two threads, less than a fiftieth of the
// work is in the last.
TEST(CutIntoTasks, KeepsTwoThreadsBusyToTheEnd) {
  std::vector<MatmulTask> tasks;
  const std::vector<std::vector<ProductExtent>> cases = {
      // One row through eight experts; 512 rows through 64; 512 rows through a gate of two panels;
      // a head.
      std::vector<ProductExtent>(8, {.panels = 16,
                                     .panel_multiple = 1,
                                     .rows = 1,
                                     .panel_bytes = 65536,
                                     .panel_macs = 32768}),
      std::vector<ProductExtent>(64, {.panels = 16,
                                      .panel_multiple = 1,
                                      .rows = 64,
                                      .panel_bytes = 65536,
                                      .panel_macs = 32768}),
      {{.panels = 1000,
        .panel_multiple = 1,
        .rows = 1,
        .panel_bytes = 65536,
        .panel_macs = 32768}}};
  for (const auto& products : cases) {
    CutIntoTasks(products, 2, tasks);
    double total = 0;
    for (const MatmulTask& task : tasks) total += Work(task);
    EXPECT_LT(Work(tasks.back()), total / 50);
  }
  CutIntoTasks(std::vector<ProductExtent>{{.panels = 2,
                                           .panel_multiple = 1,
                                           .rows = 512,
                                           .panel_bytes = 65536,
                                           .panel_macs = 32768}},
               2, tasks);
  EXPECT_GE(tasks.size(), 8u);
}

}  // namespace
}  // namespace conclave
