#pragma once

// What native/binding/convert reads ModelSpecs by of N-API, over a document of JSON: the program of
// the check has no Node, and a spec is read by one reader.

#include <cstdint>
#include <string>

#include "cuda/device-check/models/json.h"

enum napi_typedarray_type {
  napi_int8_array,
  napi_uint8_array,
  napi_uint8_clamped_array,
  napi_int16_array,
  napi_uint16_array,
  napi_int32_array,
  napi_uint32_array,
  napi_float32_array,
  napi_float64_array,
};

namespace Napi {

class String;

// Of a document, which must outlive it; undefined where there is none.
class Value {
 public:
  using Json = conclave::device_check::Json;

  Value() = default;
  explicit Value(const Json* json) : json_(json) {}

  bool IsEmpty() const { return json_ == nullptr; }
  bool IsUndefined() const { return json_ == nullptr; }
  bool IsNull() const { return Is(Json::Kind::kNull); }
  bool IsBoolean() const { return Is(Json::Kind::kBoolean); }
  bool IsNumber() const { return Is(Json::Kind::kNumber); }
  bool IsString() const { return Is(Json::Kind::kString); }
  bool IsArray() const { return Is(Json::Kind::kArray); }
  bool IsObject() const { return Is(Json::Kind::kObject) || IsArray(); }
  bool IsBigInt() const { return false; }
  bool IsFunction() const { return false; }
  bool IsTypedArray() const { return false; }

  template <typename Other>
  Other As() const {
    Other other;
    static_cast<Value&>(other) = *this;
    return other;
  }
  String ToString() const;

 protected:
  const Json* json_ = nullptr;

 private:
  bool Is(Json::Kind kind) const { return json_ != nullptr && json_->kind == kind; }
};

class Boolean : public Value {
 public:
  bool Value() const { return json_->boolean; }
};

class Number : public Value {
 public:
  double DoubleValue() const { return json_->number; }
};

class String : public Value {
 public:
  std::string Utf8Value() const { return IsNumber() ? std::to_string(json_->number) : json_->text; }
};

class Array : public Value {
 public:
  uint32_t Length() const { return static_cast<uint32_t>(json_->elements.size()); }
  Napi::Value Get(uint32_t i) const { return Napi::Value(&json_->elements[i]); }
};

class Object : public Value {
 public:
  Napi::Value Get(const char* key) const { return Napi::Value(json_->Find(key)); }
};

// A document has none of these.

class BigInt : public Value {
 public:
  uint64_t Uint64Value(bool* lossless) const {
    *lossless = false;
    return 0;
  }
};

class Function : public Value {};

class TypedArray : public Value {
 public:
  napi_typedarray_type TypedArrayType() const { return napi_uint8_array; }
  size_t ElementLength() const { return 0; }
};

template <typename Element>
class TypedArrayOf : public TypedArray {
 public:
  const Element* Data() const { return nullptr; }
};

inline String Value::ToString() const { return As<String>(); }

}  // namespace Napi
