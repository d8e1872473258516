#include "cuda/device-check/workload/materials.h"

namespace conclave::device_check {

Operation Norm(Materials& m) {
  const auto count = static_cast<size_t>(m.shape.hidden);
  const VectorPtr weight = m.backend.Store(std::vector<float>(count, 1.0f));
  const auto run = [backend = &m.backend, x = m.input, y = m.normed, grid = m.grid,
                    weight](int64_t rows) {
    const GridOutput exponents{grid.Slice(0, rows), GridBits(kFormat)};
    backend->RmsNorm(x.Slice(0, rows), *weight, 1e-6f, y.Slice(0, rows), &exponents);
  };
  const auto bytes = [width = double(m.shape.hidden)](int64_t rows) {
    return Floats(2 * double(rows) * width);
  };
  return {"norm", m.most_rows, bytes, [](int64_t) { return 0.0; }, run, m.normed};
}

Operation Linear(Materials& m, const std::string& name, int64_t out, const Tensor& x,
                 int64_t most_rows) {
  const MatrixPtr weight = m.Weights(out, x.width);
  const Tensor y = m.arena.Rows(most_rows, out);
  const auto run = [backend = &m.backend, weight, x, y](int64_t rows) {
    const LinearOutput output{weight.get(), nullptr, y.Slice(0, rows)};
    backend->Linear(x.Slice(0, rows), {&output, 1});
  };
  const double in = double(x.width);
  const double columns = double(out);
  const auto bytes = [=](int64_t rows) {
    return double(weight->bytes()) + Floats(double(rows) * (in + columns));
  };
  const auto flops = [=](int64_t rows) { return 2 * double(rows) * in * columns; };
  return {name, most_rows, bytes, flops, run, y};
}

Operation Gate(Materials& m) {
  const MatrixPtr weight = m.Weights(m.shape.experts, m.shape.hidden);
  const auto ids = m.arena.Take<int32_t>(m.most_rows, m.shape.top_k);
  const Tensor weights = m.arena.Rows(m.most_rows, m.shape.top_k);
  GateParams params;
  params.top_k = m.shape.top_k;
  params.renormalise = true;
  const auto run = [backend = &m.backend, weight, ids, weights, params, x = m.input](int64_t rows) {
    backend->Gate(x.Slice(0, rows), *weight, params, {ids.Slice(0, rows), weights.Slice(0, rows)});
  };
  const double in = double(m.shape.hidden);
  const auto bytes = [=](int64_t rows) {
    return double(weight->bytes()) + Floats(double(rows) * in);
  };
  const auto flops = [in, experts = double(m.shape.experts)](int64_t rows) {
    return 2 * double(rows) * in * experts;
  };
  return {"gate", m.most_rows, bytes, flops, run, weights};
}

}  // namespace conclave::device_check
