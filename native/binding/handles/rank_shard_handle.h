#pragma once

#include <memory>

#include "binding/handles/handle.h"
#include "conclave/engine/rank_shard.h"
#include "conclave/engine/runtime.h"

namespace conclave::binding {

struct RankShardState {
  std::shared_ptr<Runtime> runtime;
  std::shared_ptr<RankShard> shard;
};

// RankShard in native.ts.
class RankShardHandle : public Handle<RankShardHandle, RankShardState> {
 public:
  static constexpr HandleKind kKind = HandleKind::kRankShard;
  static constexpr const char* kName = "RankShard";
  static constexpr napi_type_tag kTag = {0x2a77e5b1906d4f38, 0xb3d81c5ef4a26904};
  static std::vector<PropertyDescriptor> Methods();

  explicit RankShardHandle(const Napi::CallbackInfo& info) : Handle(info) {
    Account(info.Env(), static_cast<int64_t>(open().shard->bytes()));
  }

 private:
  Napi::Value Attention(const Napi::CallbackInfo& info);
  Napi::Value Ffn(const Napi::CallbackInfo& info);
  Napi::Value Bytes(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);
};

Napi::Value CreateRankShard(const Napi::CallbackInfo& info);

}  // namespace conclave::binding
