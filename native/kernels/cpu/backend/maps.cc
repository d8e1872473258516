// Operations element by element.

#include <algorithm>
#include <cmath>

#include "conclave/base/exponential.h"
#include "conclave/base/number_formats.h"
#include "conclave/base/parallel_rows.h"
#include "kernels/cpu/backend.h"

namespace conclave {
namespace {

// body(first, end) for pieces of x's elements.
template <typename Body>
void ParallelElements(ThreadPool& pool, const Tensor& x, const Body& body) {
  ParallelRows(pool, x.rows, x.width,
               [&](int64_t first, int64_t end) { body(first * x.width, end * x.width); });
}

}  // namespace

void CpuBackend::Clamp(const Tensor& x, float limit) {
  float* const out = HostPointer(x);
  ParallelElements(pool(), x, [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; ++i) out[i] = std::clamp(out[i], -limit, limit);
  });
}

void CpuBackend::Scale(const Tensor& x, float factor) {
  float* const out = HostPointer(x);
  ParallelElements(pool(), x, [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; ++i) out[i] *= factor;
  });
}

void CpuBackend::ScaleColumns(const Vector& factors, const Tensor& x) {
  const float* const by = HostPointer(factors);
  float* const out = HostPointer(x);
  ParallelRows(pool(), x.rows, x.width, [&](int64_t first, int64_t end) {
    for (int64_t row = first; row < end; ++row)
      for (int64_t i = 0; i < x.width; ++i) out[row * x.width + i] *= by[i];
  });
}

void CpuBackend::ScaleByPosition(const QueryScaling& scaling, const StepRows& where,
                                 const Tensor& x) {
  const auto& positions = where.where().positions;
  float* const out = HostPointer(x);
  ParallelRows(pool(), x.rows, x.width, [&](int64_t first, int64_t end) {
    for (int64_t row = first; row < end; ++row) {
      const int64_t position = int64_t{positions[static_cast<size_t>(row)]} + scaling.offset;
      const auto intervals = static_cast<double>(position / scaling.interval);
      const auto factor = static_cast<float>(1 + double{scaling.factor} * std::log(1 + intervals));
      for (int64_t i = 0; i < x.width; ++i) out[row * x.width + i] *= factor;
    }
  });
}

void CpuBackend::Softcap(const Tensor& x, float cap) {
  float* const out = HostPointer(x);
  const float slope = 2 / cap;
  ParallelElements(pool(), x, [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; ++i) out[i] = cap - 2 * cap / (Exp(out[i] * slope) + 1);
  });
}

void CpuBackend::Multiply(const Tensor& factors, const Tensor& x) {
  const float* const by = HostPointer(factors);
  float* const out = HostPointer(x);
  const int64_t repeated = x.width / factors.width;
  ParallelElements(pool(), x, [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; ++i) out[i] *= by[repeated == 1 ? i : i / repeated];
  });
}

void CpuBackend::ScaleBySigmoid(const Tensor& gate, const Tensor& x) {
  const float* const gates = HostPointer(gate);
  float* const out = HostPointer(x);
  if (gate.width == x.width) {
    ParallelElements(pool(), x, [&](int64_t first, int64_t end) {
      for (int64_t i = first; i < end; ++i) out[i] /= 1 + Exp(-gates[i]);
    });
    return;
  }
  ParallelRows(pool(), x.rows, x.width, [&](int64_t first, int64_t end) {
    for (int64_t row = first; row < end; ++row) {
      const float weight = 1 / (1 + std::exp(-gates[row]));
      for (int64_t i = 0; i < x.width; ++i) out[row * x.width + i] *= weight;
    }
  });
}

void CpuBackend::ScaleBySilu(const Tensor& gate, const Tensor& x) {
  const float* const gates = HostPointer(gate);
  float* const out = HostPointer(x);
  ParallelElements(pool(), x, [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; ++i) out[i] *= gates[i] / (1 + Exp(-gates[i]));
  });
}

void CpuBackend::Sigmoid(const Tensor& x) {
  float* const out = HostPointer(x);
  ParallelElements(pool(), x, [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; ++i) out[i] = 1 / (1 + Exp(-out[i]));
  });
}

void CpuBackend::Softplus(const Vector& bias, float least, float most, const Tensor& x) {
  const float* const added = HostPointer(bias);
  float* const out = HostPointer(x);
  ParallelRows(pool(), x.rows, x.width * 16, [&](int64_t first, int64_t end) {
    for (int64_t row = first; row < end; ++row) {
      for (int64_t i = 0; i < x.width; ++i) {
        float& value = out[row * x.width + i];
        const float shifted = value + added[i];
        // Above 20 the logarithm is the exponent.
        const float softplus = shifted > 20 ? shifted : std::log1p(std::exp(shifted));
        value = std::min(std::max(softplus, least), most);
      }
    }
  });
}

void CpuBackend::Decay(const Tensor& x, const Vector& rates, const Tensor& output) {
  const float* const in = HostPointer(x);
  const float* const by = HostPointer(rates);
  float* const out = HostPointer(output);
  ParallelRows(pool(), x.rows, x.width, [&](int64_t first, int64_t end) {
    for (int64_t row = first; row < end; ++row) {
      for (int64_t i = 0; i < x.width; ++i)
        out[row * x.width + i] = Exp(by[i] * in[row * x.width + i]);
    }
  });
}

void CpuBackend::AddScaled(const Tensor& y, float multiplier, const Tensor& x) {
  const float* const in = HostPointer(y);
  float* const out = HostPointer(x);
  ParallelElements(pool(), x, [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; ++i) out[i] += multiplier * in[i];
  });
}

void CpuBackend::Round(const Tensor& x, ActivationType type) {
  if (type == ActivationType::kF32) return;
  float* const out = HostPointer(x);
  ParallelElements(pool(), x, [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; ++i) out[i] = Bf16ToFloat(FloatToBf16(out[i]));
  });
}

}  // namespace conclave
