#include "kernels/reference/backend.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "conclave/base/message.h"
#include "conclave/base/number_formats.h"
#include "kernels/reference/matrix.h"
#include "kernels/reference/rows.h"

namespace conclave {
namespace {

std::vector<double> Row(const Tensor& x, int64_t row) {
  const float* const first = HostPointer(x) + row * x.width;
  return {first, first + x.width};
}

}  // namespace

Capabilities ReferenceBackend::capabilities() const {
  return {.name = "reference",
          .formats = {WeightsFormat::kF32, WeightsFormat::kBF16, WeightsFormat::kQ8,
                      WeightsFormat::kQ4},
          .max_experts = kMaxExperts,
          .max_top_k = kMaxTopK};
}

MatrixPtr ReferenceBackend::Pack(MatrixSource& source, WeightsFormat format) {
  return std::make_shared<const ReferenceMatrix>(source, format);
}

FfnPtr ReferenceBackend::PackFfn(const FfnSource& source, WeightsFormat format) {
  return std::make_shared<const ReferenceFfn>(source, format);
}

void ReferenceBackend::RmsNorm(const Tensor& x, const Vector& weight, float epsilon,
                               const Tensor& output, const GridOutput* grid) {
  const std::vector<double> weights(HostPointer(weight), HostPointer(weight) + weight.size());
  for (int64_t r = 0; r < x.rows; ++r) {
    std::vector<double> row = Row(x, r);
    row.resize(weights.size());
    if (grid != nullptr)
      HostPointer(grid->exponents)[r] = ReferenceGrid(row, double{epsilon}, grid->bits);
    const std::vector<double> normalised = ReferenceRmsNorm(row, weights, double{epsilon});
    std::copy(normalised.begin(), normalised.end(), HostPointer(output) + r * output.width);
  }
}

void ReferenceBackend::LayerNorm(const Tensor& x, const Vector& weight, const Vector* bias,
                                 float epsilon, const Tensor& output, const GridOutput* grid) {
  for (int64_t r = 0; r < x.rows; ++r) {
    const std::vector<double> row = Row(x, r);
    if (grid != nullptr)
      HostPointer(grid->exponents)[r] = ReferenceGrid(row, double{epsilon}, grid->bits);
    const std::vector<double> normalised = ReferenceLayerNorm(row, double{epsilon});
    for (int64_t i = 0; i < x.width; ++i) {
      const double added = bias != nullptr ? double{HostPointer(*bias)[i]} : 0;
      HostPointer(output)[r * output.width + i] = static_cast<float>(
          normalised[static_cast<size_t>(i)] * double{HostPointer(weight)[i]} + added);
    }
  }
}

void ReferenceBackend::Linear(const Tensor& x, std::span<const LinearOutput> outputs) {
  for (const LinearOutput& output : outputs) {
    const auto& matrix = static_cast<const ReferenceMatrix&>(*output.matrix);
    for (int64_t r = 0; r < x.rows; ++r) {
      std::vector<float> y = matrix.Multiply(HostPointer(x) + r * x.width);
      for (size_t i = 0; output.bias != nullptr && i < y.size(); ++i)
        y[i] += HostPointer(*output.bias)[i];
      std::copy(y.begin(), y.end(), HostPointer(output.output) + r * output.output.width);
    }
  }
}

void ReferenceBackend::Gate(const Tensor& x, const Matrix& weight, const GateParams& params,
                            const GateChoice& choice) {
  const auto& matrix = static_cast<const ReferenceMatrix&>(weight);
  for (int64_t r = 0; r < x.rows; ++r) {
    std::vector<float> logits = matrix.Multiply(HostPointer(x) + r * x.width);
    for (size_t e = 0; params.bias != nullptr && e < logits.size(); ++e)
      logits[e] += HostPointer(*params.bias)[e];
    for (float& logit : logits) {
      if (params.softcap > 0) {
        const double cap = params.softcap;
        logit = static_cast<float>(cap * std::tanh(double{logit} / cap));
      }
    }
    const float infinity = std::numeric_limits<float>::infinity();
    const bool usable =
        std::all_of(logits.begin(), logits.end(), [&](float l) { return l < infinity; }) &&
        std::any_of(logits.begin(), logits.end(), [&](float l) { return l > -infinity; });
    if (!usable) Fail(ErrorCode::kNonFinite, "gate logits: some of a row are NaN or infinite");
    const ReferenceGateResult result = ReferenceGate(
        {logits.begin(), logits.end()}, params,
        params.picked != nullptr ? HostPointer(*params.picked) + r * params.top_k : nullptr);
    std::copy(result.ids.begin(), result.ids.end(), HostPointer(choice.ids) + r * params.top_k);
    std::copy(result.weights.begin(), result.weights.end(),
              HostPointer(choice.weights) + r * params.top_k);
  }
}

void ReferenceBackend::Forward(const Ffn& ffn, const Tensor& x, const Tensor& output) {
  for (int64_t r = 0; r < x.rows; ++r) {
    const std::vector<float> y =
        static_cast<const ReferenceFfn&>(ffn).Forward(HostPointer(x) + r * x.width);
    std::copy(y.begin(), y.end(), HostPointer(output) + r * output.width);
  }
}

void ReferenceBackend::Clamp(const Tensor& x, float limit) {
  for (int64_t i = 0; i < x.elements(); ++i)
    HostPointer(x)[i] = std::clamp(HostPointer(x)[i], -limit, limit);
}

void ReferenceBackend::Scale(const Tensor& x, float factor) {
  for (int64_t i = 0; i < x.elements(); ++i) HostPointer(x)[i] *= factor;
}

void ReferenceBackend::ScaleColumns(const Vector& factors, const Tensor& x) {
  for (int64_t i = 0; i < x.elements(); ++i) HostPointer(x)[i] *= HostPointer(factors)[i % x.width];
}

void ReferenceBackend::Softcap(const Tensor& x, float cap) {
  for (int64_t i = 0; i < x.elements(); ++i) {
    HostPointer(x)[i] =
        static_cast<float>(double{cap} * std::tanh(double{HostPointer(x)[i]} / double{cap}));
  }
}

void ReferenceBackend::ScaleByPosition(const QueryScaling& scaling, const StepRows& where,
                                       const Tensor& x) {
  const auto& positions = where.where().positions;
  for (int64_t i = 0; i < x.elements(); ++i) {
    const int64_t position = positions[static_cast<size_t>(i / x.width)] + scaling.offset;
    const double intervals = std::floor(static_cast<double>(position) / scaling.interval);
    HostPointer(x)[i] *= static_cast<float>(1 + double{scaling.factor} * std::log(1 + intervals));
  }
}

void ReferenceBackend::Multiply(const Tensor& factors, const Tensor& x) {
  for (int64_t i = 0; i < x.elements(); ++i)
    HostPointer(x)[i] *= HostPointer(factors)[factors.width == x.width ? i : i / x.width];
}

void ReferenceBackend::ScaleBySigmoid(const Tensor& gate, const Tensor& x) {
  for (int64_t i = 0; i < x.elements(); ++i) {
    const int64_t at = gate.width == x.width ? i : i / x.width;
    const double weight = 1 / (1 + std::exp(-double{HostPointer(gate)[at]}));
    HostPointer(x)[i] = static_cast<float>(double{HostPointer(x)[i]} * weight);
  }
}

void ReferenceBackend::ScaleBySilu(const Tensor& gate, const Tensor& x) {
  for (int64_t i = 0; i < x.elements(); ++i) {
    const double g = HostPointer(gate)[i];
    HostPointer(x)[i] = static_cast<float>(double{HostPointer(x)[i]} * g / (1 + std::exp(-g)));
  }
}

void ReferenceBackend::Sigmoid(const Tensor& x) {
  for (int64_t i = 0; i < x.elements(); ++i)
    HostPointer(x)[i] = static_cast<float>(1 / (1 + std::exp(-double{HostPointer(x)[i]})));
}

void ReferenceBackend::Softplus(const Vector& bias, float least, float most, const Tensor& x) {
  for (int64_t i = 0; i < x.elements(); ++i) {
    const double shifted = double{HostPointer(x)[i]} + double{HostPointer(bias)[i % x.width]};
    const double softplus = std::max(shifted, 0.0) + std::log1p(std::exp(-std::abs(shifted)));
    HostPointer(x)[i] = std::clamp(static_cast<float>(softplus), least, most);
  }
}

void ReferenceBackend::Decay(const Tensor& x, const Vector& rates, const Tensor& output) {
  for (int64_t i = 0; i < x.elements(); ++i) {
    HostPointer(output)[i] = static_cast<float>(
        std::exp(double{HostPointer(rates)[i % x.width]} * double{HostPointer(x)[i]}));
  }
}

void ReferenceBackend::AddScaled(const Tensor& y, float multiplier, const Tensor& x) {
  for (int64_t i = 0; i < x.elements(); ++i) HostPointer(x)[i] += multiplier * HostPointer(y)[i];
}

void ReferenceBackend::Round(const Tensor& x, ActivationType type) {
  if (type == ActivationType::kF32) return;
  for (int64_t i = 0; i < x.elements(); ++i)
    HostPointer(x)[i] = Bf16ToFloat(FloatToBf16(HostPointer(x)[i]));
}

}  // namespace conclave
