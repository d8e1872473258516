#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "conclave/base/error.h"
#include "conformance/harness.h"
#include "conformance/weights.h"

namespace conclave {
namespace {

class LinearTest : public ConformanceTest {
 protected:
  MatrixPtr Pack(const RandomMatrix& matrix, WeightsFormat format) {
    TestSource source = matrix.source();
    return device_->Pack(source, format);
  }

  std::vector<float> Multiply(const Matrix& w, const std::vector<float>& input,
                              const Vector* bias = nullptr) {
    const Tensor x = device_.Upload(input, w.cols());
    const LinearOutput output{&w, bias, device_.Empty(x.rows, w.rows())};
    device_->Linear(x, {&output, 1});
    return device_.Download(output.output);
  }
};

// (rows of activations, columns, rows of weights)
const std::vector<std::tuple<int64_t, int64_t, int64_t>> kShapes = {
    {1, 1, 1},    {1, 31, 7},    {3, 32, 16},  {5, 33, 17},   {2, 64, 32},
    {7, 100, 65}, {13, 96, 48},  {16, 128, 1}, {29, 257, 33}, {40, 64, 96},
    {130, 50, 8}, {1, 1000, 90}, {200, 40, 70}};

TEST_P(LinearTest, IsWithinTheBoundOfTheExactProduct) {
  for (const Format& format : Formats()) {
    for (const auto& [m, cols, rows] : kShapes) {
      SCOPED_TRACE(format.name + " m " + std::to_string(m) + " cols " + std::to_string(cols) +
                   " rows " + std::to_string(rows));
      const RandomMatrix matrix(format, rows, cols, 1);
      const MatrixPtr w = Pack(matrix, format.format);
      EXPECT_EQ(w->rows(), rows);
      EXPECT_EQ(w->cols(), cols);
      EXPECT_GT(w->bytes(), 0u);
      const std::vector<float> input = Normal(m * cols, 2);
      const std::vector<float> bias = Normal(rows, 3);
      const VectorPtr stored = device_->Store(bias);
      const std::vector<double> x(input.begin(), input.end());
      const std::vector<double> weights = matrix.values();
      const std::vector<double> exact = ExactProduct(weights, rows, cols, x);
      const std::vector<float> plain = Multiply(*w, input);
      const std::vector<float> biased = Multiply(*w, input, stored.get());
      for (size_t i = 0; i < exact.size(); ++i) {
        const size_t row = i / static_cast<size_t>(rows);
        const size_t column = i % static_cast<size_t>(rows);
        const double bound =
            ProductBound(&x[row * static_cast<size_t>(cols)],
                         &weights[column * static_cast<size_t>(cols)], cols, format) +
            kEpsilon * std::abs(exact[i]);
        ASSERT_NEAR(plain[i], exact[i], bound) << "row " << row << " column " << column;
        const double shift = double{bias[column]};
        ASSERT_NEAR(biased[i], exact[i] + shift, bound + kEpsilon * std::abs(shift));
      }
    }
  }
}

TEST_P(LinearTest, GivesARowTheSameBitsInEveryBatchAndOnAnyNumberOfThreads) {
  constexpr int64_t kRows = 70;
  constexpr int64_t kCols = 200;
  constexpr int64_t kMost = 120;
  const std::vector<float> input = Normal(kMost * kCols, 5);
  for (const Format& format : Formats()) {
    SCOPED_TRACE(format.name);
    const RandomMatrix matrix(format, kRows, kCols, 4);
    std::vector<float> alone;
    for (const int threads : {1, 2, 3}) {
      if (GetParam().slow && (threads > 1 || format.source != SourceType::kF32)) continue;
      Device device(GetParam().create(threads));
      TestSource source = matrix.source();
      const MatrixPtr w = device->Pack(source, format.format);
      const Tensor x = device.Upload(input, kCols);
      const auto multiply = [&](int64_t first, int64_t end) {
        const LinearOutput output{w.get(), nullptr, device.Empty(end - first, kRows)};
        device->Linear(x.Slice(first, end), {&output, 1});
        return device.Download(output.output);
      };
      for (int64_t i = 0; i < kMost && threads == 1; ++i) {
        const std::vector<float> row = multiply(i, i + 1);
        alone.insert(alone.end(), row.begin(), row.end());
      }
      const int64_t step = GetParam().slow ? 15 : 1;
      for (int64_t m = 2; m <= kMost; m = m < 40 ? m + step : m + 40) {
        const int64_t first = (m * 7) % (kMost - m + 1);
        const std::vector<float> together = multiply(first, first + m);
        ASSERT_EQ(std::memcmp(together.data(), alone.data() + first * kRows,
                              together.size() * sizeof(float)),
                  0)
            << "m " << m << " threads " << threads;
      }
    }
  }
}

TEST_P(LinearTest, GivesSeveralMatricesTheSameBitsAsOneByOne) {
  constexpr int64_t kCols = 72;
  const std::vector<float> input = Normal(9 * kCols, 6);
  for (const Format& format : Formats()) {
    SCOPED_TRACE(format.name);
    std::vector<MatrixPtr> matrices;
    std::vector<VectorPtr> biases;
    std::vector<LinearOutput> outputs;
    for (const int64_t rows : {64, 17, 33}) {
      const auto seed = static_cast<uint32_t>(rows);
      matrices.push_back(Pack(RandomMatrix(format, rows, kCols, seed), format.format));
      biases.push_back(rows == 17 ? nullptr : device_->Store(Normal(rows, seed)));
      outputs.push_back({matrices.back().get(), biases.back().get(), device_.Empty(9, rows)});
    }
    device_->Linear(device_.Upload(input, kCols), outputs);
    for (size_t i = 0; i < matrices.size(); ++i) {
      EXPECT_EQ(device_.Download(outputs[i].output),
                Multiply(*matrices[i], input, biases[i].get()));
    }
  }
}

// Heads are rows of a matrix each, and what is behind them stays as it is.
TEST_P(LinearTest, ProjectsEveryHeadByItsOwnMatrix) {
  for (const Format& format : Formats()) {
    for (const auto& [rows, heads, in, out, rest] : std::vector<std::array<int64_t, 5>>{
             {1, 3, 20, 33, 8}, {7, 2, 64, 16, 0}, {70, 5, 7, 40, 1}}) {
      SCOPED_TRACE(format.name + " rows " + std::to_string(rows) + " heads " +
                   std::to_string(heads));
      const std::vector<float> input = Normal(rows * heads * (in + rest), 7);
      const Tensor x = device_.Upload(input, heads * (in + rest));
      std::vector<MatrixPtr> matrices;
      for (int64_t head = 0; head < heads; ++head) {
        const auto seed = static_cast<uint32_t>(head);
        matrices.push_back(Pack(RandomMatrix(format.source, out, in, seed), format.format));
      }
      const Tensor output = device_.Empty(rows, heads * (out + rest));
      device_->ProjectHeads(x, matrices, output);
      const std::vector<float> actual = device_.Download(output);
      for (int64_t i = 0; i < rows * heads; ++i) {
        const auto head = input.begin() + i * (in + rest);
        std::vector<float> expected =
            Multiply(*matrices[static_cast<size_t>(i % heads)], {head, head + in});
        expected.insert(expected.end(), head + in, head + in + rest);
        const auto at = actual.begin() + i * (out + rest);
        ASSERT_EQ(std::vector<float>(at, at + out + rest), expected) << "head " << i;
      }
    }
  }
}

TEST_P(LinearTest, OfNoRowsDoesNothing) {
  const MatrixPtr w = Pack(RandomMatrix(SourceType::kF32, 20, 30, 1), WeightsFormat::kF32);
  const LinearOutput output{w.get(), nullptr, {0, 0, 20}};
  device_->Linear({0, 0, 30}, {&output, 1});
}

TEST_P(LinearTest, RefusesToPackWhatIsNotFinite) {
  const uint32_t f32[] = {0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001};
  const uint16_t f16[] = {0x7c00, 0xfc00, 0x7e00, 0x7c01};
  const uint16_t bf16[] = {0x7f80, 0xff80, 0x7fc0, 0x7f81};
  for (const Format& format : Formats()) {
    if (format.codes != CodeKind::kNone) continue;  // Their decoders check them.
    for (const auto& [row, col] : {std::pair<int64_t, int64_t>{0, 0}, {1, 8}, {19, 32}}) {
      for (size_t bad = 0; bad < 4; ++bad) {
        RandomMatrix matrix(format, 20, 33, 1);
        const void* const bits = format.source == SourceType::kF32
                                     ? static_cast<const void*>(f32 + bad)
                                 : format.source == SourceType::kF16 ? f16 + bad
                                                                     : bf16 + bad;
        std::memcpy(matrix.at(row, col), bits, ElementBytes(format.source));
        try {
          Pack(matrix, format.format);
          ADD_FAILURE() << format.name << ": accepted row " << row << " column " << col;
        } catch (const Error& error) {
          EXPECT_EQ(error.code(), ErrorCode::kNonFinite);
          const std::string place =
              "row " + std::to_string(row) + ", column " + std::to_string(col);
          EXPECT_NE(std::string(error.what()).find(place), std::string::npos) << error.what();
        }
      }
    }
  }
}

TEST_P(LinearTest, RefusesToPackWhatRoundsBeyondBf16) {
  const float largest[2] = {1, std::numeric_limits<float>::max()};
  MemorySource source(largest, SourceType::kF32, 1, 2, 2);
  device_->Pack(source, WeightsFormat::kF32);
  EXPECT_THROW(device_->Pack(source, WeightsFormat::kBF16), Error);
}

// NaN and infinity must come through, so that sampling sees them, and must not spread to other
// rows.
TEST_P(LinearTest, KeepsWhatIsNotFiniteInItsRow) {
  constexpr int64_t kCols = 70;
  for (const Format& format : Formats()) {
    SCOPED_TRACE(format.name);
    const MatrixPtr w = Pack(RandomMatrix(format, 40, kCols, 1), format.format);
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      std::vector<float> input = Normal(5 * kCols, 2);
      const std::vector<float> clean = Multiply(*w, input);
      input[2 * kCols + 69] = bad;
      const std::vector<float> output = Multiply(*w, input);
      for (size_t i = 0; i < output.size(); ++i) {
        if (i / 40 == 2) {
          EXPECT_FALSE(std::isfinite(output[i])) << i;
        } else {
          EXPECT_EQ(output[i], clean[i]) << i;
        }
      }
    }
  }
}

CONCLAVE_CONFORMANCE(LinearTest);

}  // namespace
}  // namespace conclave
