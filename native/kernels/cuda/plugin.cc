#include "conclave/backend/plugin.h"

#include "kernels/cuda/backend.h"

CONCLAVE_BACKEND_PLUGIN(conclave::cuda::Devices, conclave::cuda::FreeBytes,
                        conclave::cuda::CreateBackend)
