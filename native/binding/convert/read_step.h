#pragma once

#include <napi.h>

#include <string>
#include <vector>

#include "conclave/engine/expert_bank.h"
#include "conclave/engine/expert_route.h"
#include "conclave/engine/stage.h"
#include "conclave/engine/step.h"

namespace conclave::binding {

ActivationType ReadActivationType(Napi::Value value, const std::string& path);
ExpertSlot ReadExpertSlot(Napi::Value value, const std::string& path);
std::vector<ExpertSlot> ReadExpertSlots(Napi::Value value, const std::string& path);
ExpertRows ReadExpertRows(Napi::Value value, const std::string& path);
ExpertRoute ReadExpertRoute(Napi::Value value, const std::string& path);
RankSlice ReadRankSlice(Napi::Value value, const std::string& path);
CacheOptions ReadCacheOptions(Napi::Value value, const std::string& path);
StageOptions ReadStageOptions(Napi::Value value, const std::string& path);
SequenceRowsData ReadSequenceRows(Napi::Value value, const std::string& path);
// Leaves out tokens and logits where the stage does not read them.
StepBatch ReadStepBatch(Napi::Value value, const std::string& path, bool tokens, bool last);
std::vector<PartialSum> ReadPartialSums(Napi::Value value, const std::string& path);

}  // namespace conclave::binding
