#pragma once

// Makes JavaScript values of C++ ones.

#include <napi.h>

#include <cstdint>
#include <vector>

#include "conclave/base/exact_sum.h"
#include "conclave/engine/expert_bank.h"
#include "conclave/engine/step.h"

namespace conclave::binding {

// Hands the memory over without a copy where the runtime allows it.
Napi::Value WriteBytes(Napi::Env env, std::vector<uint8_t>&& bytes);
Napi::Value WriteTotals(Napi::Env env, EncodedTotals&& totals);
Napi::Value WriteLoadedSlots(Napi::Env env, const std::vector<LoadedSlot>& slots);
Napi::Value WriteStepProgress(Napi::Env env, StepProgress&& progress);
Napi::Value WriteExpertRowCounts(Napi::Env env, const std::vector<std::vector<uint32_t>>& counts);

}  // namespace conclave::binding
