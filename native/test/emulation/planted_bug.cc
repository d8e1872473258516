// A product by tensor cores, of sources into which a bug may have been planted: ends with 0 where
// its output is that of a plain loop in every order of threads, without conflicts of banks.

#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "kernels/cuda/matmul/tensor.cuh"

namespace conclave::cuda {
namespace {

constexpr int kEntries = 27, kDepth = 200, kCols = 70, kRows = 40;

std::vector<Bf16> Random(int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<Bf16> x(static_cast<size_t>(count));
  for (Bf16& v : x) v = ToBf16(normal(random));
  return x;
}

double Product(const std::vector<Bf16>& x, int64_t row, const std::vector<Bf16>& w, int64_t col) {
  double sum = 0;
  for (int64_t k = 0; k < kDepth; ++k)
    sum += double{ToFloat(x[static_cast<size_t>(row * kDepth + k)])} *
           double{ToFloat(w[static_cast<size_t>(col * kDepth + k)])};
  return sum;
}

// Elements that are wrong.
int Check(uint64_t seed, emu::Options::Order order, emu::Options::Copies copies) {
  emu::options() = {order, copies, seed};
  const std::vector<Bf16> x = Random(kRows * kDepth, 1);
  const std::vector<Bf16> gate = Random(kCols * kDepth, 2), up = Random(kCols * kDepth, 3);
  // What follows the last entry names a row far beyond the input.
  std::vector<int32_t> entry_rows(64, 1 << 29);
  for (int e = 0; e < kEntries; ++e) entry_rows[static_cast<size_t>(e)] = (e * 7) % kRows;
  std::vector<Bf16> output(kEntries * 72, Bf16{0x7FC0});
  ProductArguments p{};
  p.entries = kEntries;
  p.single.weights = {.data = up.data(),
                      .scales = nullptr,
                      .zeros = nullptr,
                      .rows = kCols,
                      .cols = kDepth,
                      .stride = kDepth,
                      .scale_stride = 0};
  p.single.gates = p.single.weights;
  p.single.gates.data = gate.data();
  p.entry_rows = entry_rows.data();
  p.input = x.data();
  p.input_stride = kDepth;
  p.output = output.data();
  p.output_stride = 72;
  p.depth = kDepth;
  p.cols = kCols;
  emu::Launch({2, 2, 1}, {kTileThreads, 1, 1}, TensorProduct<Bf16Tile, true, 16>::kSharedBytes,
              [&] { MultiplyByTensorCores<Bf16Tile, true, 16>(p); });
  int wrong = 0;
  for (int64_t e = 0; e < kEntries; ++e) {
    for (int64_t col = 0; col < kCols; ++col) {
      const int64_t row = entry_rows[static_cast<size_t>(e)];
      const double g = Product(x, row, gate, col), u = Product(x, row, up, col);
      const double expected = g / (1 + std::exp(-g)) * u;
      const double actual = double{ToFloat(output[static_cast<size_t>(e * 72 + col)])};
      // Rounded to bf16, of sums in f32 of 200 products of numbers of order 1.
      wrong += !(std::abs(actual - expected) <= 0x1p-8 * std::abs(expected) + 1e-2);
    }
  }
  return wrong;
}

}  // namespace
}  // namespace conclave::cuda

int main() {
  using Options = emu::Options;
  int wrong = 0;
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    wrong += conclave::cuda::Check(seed, Options::Order::kRandom, Options::Copies::kRandom);
    wrong += conclave::cuda::Check(seed, Options::Order::kDescending, Options::Copies::kLate);
  }
  const auto conflicts = static_cast<unsigned long long>(emu::statistics().bank_conflicts);
  std::printf("%d elements are wrong, %llu conflicts of banks\n", wrong, conflicts);
  return wrong > 0 || conflicts > 0 ? 1 : 0;
}
