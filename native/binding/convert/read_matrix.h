#pragma once

// Reads the tensors, matrices and norms of a ModelSpec.

#include <napi.h>

#include <initializer_list>
#include <string>
#include <utility>

#include "binding/convert/read.h"
#include "conclave/base/error.h"
#include "conclave/model/spec.h"

namespace conclave::binding {

inline constexpr int64_t kMaxSafeInteger = (int64_t{1} << 53) - 1;
inline constexpr int64_t kMaxUint32 = (int64_t{1} << 32) - 1;
inline constexpr int64_t kMaxInt32 = (int64_t{1} << 31) - 1;

// An enum of the wire: names that the engine does not know are UNSUPPORTED.
template <typename Enum>
Enum ReadEnum(Napi::Value value, const std::string& path,
              std::initializer_list<std::pair<const char*, Enum>> choices) {
  const std::string name = ReadString(value, path);
  for (const auto& [known, choice] : choices) {
    if (name == known) return choice;
  }
  throw Error(ErrorCode::kUnsupported, path + ": the engine does not know " + name);
}

template <typename Enum>
Enum ReadEnum(const Fields& fields, const char* key,
              std::initializer_list<std::pair<const char*, Enum>> choices) {
  return ReadEnum(fields.Get(key), fields.PathOf(key), choices);
}

SourceType ReadSourceType(Napi::Value value, const std::string& path);
TensorRef ReadTensor(const Fields& parent, const char* key);
// Empty where the field is null or absent.
std::optional<TensorRef> ReadOptionalTensor(const Fields& parent, const char* key);
MatrixSpec ReadMatrix(const Fields& parent, const char* key);
LinearSpec ReadLinear(const Fields& parent, const char* key);
NormSpec ReadNorm(const Fields& parent, const char* key);

}  // namespace conclave::binding
