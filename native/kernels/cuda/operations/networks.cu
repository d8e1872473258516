// Feed-forward networks.

#include <algorithm>

#include "kernels/cuda/backend/cuda_backend.h"
#include "kernels/cuda/matmul/activation.h"
#include "kernels/cuda/runtime/launch.h"

namespace conclave::cuda {
namespace {

// hidden = act(gate, up), where the two are stored differently and were multiplied by themselves.
template <typename Element>
struct ActivateRows {
  const float* gate;  // [entries, width]
  const float* up;
  int64_t width;
  int64_t stride;
  ActivationParams activation;
  Element* hidden;  // [entries, stride]; zeros from `width` on
  __device__ void operator()(int64_t i) const {
    const int64_t col = i % stride, at = i / stride * width + col;
    hidden[i] = FromFloat<Element>(col < width ? Activate(activation, gate[at], up[at]) : 0);
  }
};

}  // namespace

Storage StorageOfInput(const CudaFfn& ffn) {
  const bool zeros =
      ffn.gate().storage() == Storage::kQ4Zeros || ffn.up.storage() == Storage::kQ4Zeros;
  return zeros ? Storage::kQ4Zeros : ffn.up.storage();
}

GroupMatrices HiddenMatrices(const CudaFfn& ffn) {
  return {.weights = ffn.up.view(),
          .gates = ffn.gate().view(),
          .bias = DevicePointer(ffn.up_bias.get()),
          .gate_bias = DevicePointer(ffn.gate_bias.get())};
}

GroupMatrices GateMatrices(const CudaFfn& ffn) {
  return {.weights = ffn.gate().view(), .bias = DevicePointer(ffn.gate_bias.get())};
}

GroupMatrices DownMatrices(const CudaFfn& ffn) {
  return {.weights = ffn.down.view(), .bias = DevicePointer(ffn.down_bias.get())};
}

bool Alike(const CudaFfn& a, const CudaFfn& b) {
  return a.gate().storage() == b.gate().storage() && a.up.storage() == b.up.storage() &&
         a.down.storage() == b.down.storage() && a.up.rows() == b.up.rows();
}

void AppendTiles(int32_t group, int64_t begin, int64_t end, TileRows rows,
                 std::vector<GroupTile>* tiles) {
  const auto step = static_cast<int64_t>(rows);
  for (int64_t at = begin; at < end; at += step) {
    tiles->push_back(
        {group, static_cast<int32_t>(at), static_cast<int32_t>(std::min(end, at + step))});
  }
}

ProductInput CudaBackend::HiddenOf(const NetworkBatch& batch, const ProductInput& input) {
  const CudaFfn& ffn = *batch.first;
  const bool exact = IsExact(ffn.up.storage());
  const int64_t width = ffn.up.rows();
  ProductInput hidden{.stride = exact ? width : RoundUp(width, 8)};
  ProductArguments p{.tiles = batch.tiles,
                     .entries = batch.entries,
                     .groups = batch.hidden,
                     .single = HiddenMatrices(ffn),
                     .entry_rows = input.entry_rows,
                     .input = input.rows,
                     .input_stride = input.stride,
                     .input_sums = input.sums,
                     .sum_stride = input.sum_stride,
                     .output = Scratch<uint8_t>(batch.entries, hidden.stride * (exact ? 4 : 2)),
                     .output_stride = hidden.stride,
                     .depth = ffn.up.view().cols,
                     .cols = ffn.up.view().rows,
                     .activation = ffn.activation};
  hidden.rows = p.output;
  if (ffn.gate().storage() == ffn.up.storage()) {
    cuda::Multiply(stream_, "gate and up", ffn.up.storage(), true, batch.tile_rows,
                   batch.tile_count, p);
  } else {
    float* const parts[2] = {Scratch<float>(batch.entries, width),
                             Scratch<float>(batch.entries, width)};
    p.output = parts[1];
    p.output_stride = width;
    cuda::Multiply(stream_, "up", ffn.up.storage(), false, batch.tile_rows, batch.tile_count, p);
    p.output = parts[0];
    p.groups = batch.gate;
    p.single = GateMatrices(ffn);
    cuda::Multiply(stream_, "gate", ffn.gate().storage(), false, batch.tile_rows, batch.tile_count,
                   p);
    const auto activate = [&](auto* rows) {
      LaunchElements(stream_, "activation", batch.entries * hidden.stride,
                     ActivateRows{parts[0], parts[1], width, hidden.stride, ffn.activation, rows});
    };
    void* const rows = const_cast<void*>(hidden.rows);
    if (exact) {
      activate(static_cast<float*>(rows));
    } else {
      activate(static_cast<Bf16*>(rows));
    }
  }
  if (ffn.down.storage() == Storage::kQ4Zeros) AddSums(batch.entries, width, &hidden);
  return hidden;
}

void CudaBackend::RunNetworks(const NetworkBatch& batch, const ProductInput& input, float* output) {
  const CudaFfn& ffn = *batch.first;
  const ProductInput hidden = HiddenOf(batch, input);
  ProductArguments p{.tiles = batch.tiles,
                     .entries = batch.entries,
                     .groups = batch.down,
                     .single = DownMatrices(ffn),
                     .entry_rows = nullptr,
                     .input = hidden.rows,
                     .input_stride = hidden.stride,
                     .input_sums = hidden.sums,
                     .sum_stride = hidden.sum_stride,
                     .output = output,
                     .output_stride = ffn.down.view().rows,
                     .depth = ffn.down.view().cols,
                     .cols = ffn.down.view().rows,
                     .activation = {}};
  cuda::Multiply(stream_, "down", ffn.down.storage(), false, batch.tile_rows, batch.tile_count, p);
}

void CudaBackend::Forward(const Ffn& ffn, const Tensor& x, const Tensor& output) {
  if (x.rows == 0) return;
  const Arena::Scope scope(scratch());
  const auto& network = static_cast<const CudaFfn&>(ffn);
  const TileRows tile_rows = TileRowsFor(network.up.storage(), x.rows, 1);
  const NetworkBatch batch{.first = &network,
                           .entries = x.rows,
                           .tile_rows = tile_rows,
                           .tile_count = Parts(x.rows, static_cast<int64_t>(tile_rows))};
  RunNetworks(batch, InputOf(DevicePointer(x), x.rows, x.width, StorageOfInput(network)),
              DevicePointer(output));
}

}  // namespace conclave::cuda
