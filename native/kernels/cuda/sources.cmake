# The backend of NVIDIA GPUs: one list for nvcc and for the emulation, whose compiler is that of the host. Files of the
# CUDA runtime itself, which the emulation replaces, are in a list of their own.

set(CONCLAVE_CUDA_SOURCES
  backend/cache.cc
  backend/cuda_backend.cc
  backend/loading/encoded_row.cc
  backend/loading/weight_memory.cc
  backend/loading/weight_upload.cc
  backend/staging.cc
  backend/step_buffers.cc
  backend/weights.cc
  matmul/products.cu
  operations/attention.cu
  operations/experts.cu
  operations/folds.cu
  operations/gate.cu
  operations/gating_maps.cu
  operations/linear.cu
  operations/linear_attention.cu
  operations/maps.cu
  operations/networks.cu
  operations/norms.cu
  operations/recurrences.cu
  operations/rope.cu
  operations/selection.cu
  operations/streams.cu
  operations/totals.cu
  operations/transfers.cu
  plugin.cc)

set(CONCLAVE_CUDA_RUNTIME_SOURCES
  runtime/device_support.cc
  runtime/devices.cc
  runtime/runtime.cc)

# A product added in one step here and in two there would make results depend on the shape of a loop. Kernels that may
# do it in one step say so.
set(CONCLAVE_CUDA_NVCC_OPTIONS -fmad=false)
