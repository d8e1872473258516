#include "binding/convert/read.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "conclave/base/error.h"

namespace conclave::binding {
namespace {

constexpr uint32_t kMaxElements = 1 << 24;

const char* TypedArrayName(napi_typedarray_type type) {
  switch (type) {
    case napi_int8_array:
      return "Int8Array";
    case napi_uint8_array:
      return "Uint8Array";
    case napi_uint8_clamped_array:
      return "Uint8ClampedArray";
    case napi_int16_array:
      return "Int16Array";
    case napi_uint16_array:
      return "Uint16Array";
    case napi_int32_array:
      return "Int32Array";
    case napi_uint32_array:
      return "Uint32Array";
    case napi_float32_array:
      return "Float32Array";
    case napi_float64_array:
      return "Float64Array";
    default:
      return "typed array";
  }
}

template <typename Element>
std::vector<Element> ReadTyped(Napi::Value value, const std::string& path,
                               napi_typedarray_type type) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type)
    Refuse(path, TypedArrayName(type), value);
  const auto array = value.As<Napi::TypedArrayOf<Element>>();
  std::vector<Element> copy(array.ElementLength());
  if (!copy.empty()) std::memcpy(copy.data(), array.Data(), copy.size() * sizeof(Element));
  return copy;
}

}  // namespace

std::string Describe(Napi::Value value) {
  if (value.IsEmpty() || value.IsUndefined()) return "undefined";
  if (value.IsNull()) return "null";
  if (value.IsBoolean()) return value.As<Napi::Boolean>().Value() ? "true" : "false";
  if (value.IsNumber() || value.IsBigInt()) return value.ToString().Utf8Value();
  if (value.IsString()) {
    const std::string text = value.As<Napi::String>().Utf8Value();
    return "\"" + (text.size() <= 80 ? text : text.substr(0, 77) + "...") + "\"";
  }
  if (value.IsTypedArray()) {
    const auto array = value.As<Napi::TypedArray>();
    return std::string(TypedArrayName(array.TypedArrayType())) + "(" +
           std::to_string(array.ElementLength()) + ")";
  }
  if (value.IsArray()) return "array of " + std::to_string(value.As<Napi::Array>().Length());
  if (value.IsFunction()) return "function";
  return value.IsObject() ? "object" : "another type";
}

void Refuse(const std::string& path, const std::string& expected, Napi::Value got) {
  throw Error(ErrorCode::kInvalidArgument,
              path + ": expected " + expected + ", got " + Describe(got));
}

int64_t ReadInteger(Napi::Value value, const std::string& path, int64_t least, int64_t most) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : std::nan("");
  if (!(number >= static_cast<double>(least) && number <= static_cast<double>(most) &&
        number == std::floor(number))) {
    Refuse(path, "an integer from " + std::to_string(least) + " to " + std::to_string(most), value);
  }
  return static_cast<int64_t>(number);
}

uint64_t ReadUint64(Napi::Value value, const std::string& path) {
  bool lossless = false;
  const uint64_t integer =
      value.IsBigInt() ? value.As<Napi::BigInt>().Uint64Value(&lossless) : uint64_t{0};
  if (!lossless) {
    Refuse(path, "a bigint from 0 to " + std::to_string(std::numeric_limits<uint64_t>::max()),
           value);
  }
  return integer;
}

double ReadNumber(Napi::Value value, const std::string& path) {
  if (!value.IsNumber()) Refuse(path, "a number", value);
  return value.As<Napi::Number>().DoubleValue();
}

bool ReadBoolean(Napi::Value value, const std::string& path) {
  if (!value.IsBoolean()) Refuse(path, "true or false", value);
  return value.As<Napi::Boolean>().Value();
}

std::string ReadString(Napi::Value value, const std::string& path) {
  if (!value.IsString()) Refuse(path, "a string", value);
  return value.As<Napi::String>().Utf8Value();
}

std::string ReadOneOf(Napi::Value value, const std::string& path,
                      const std::vector<std::string>& choices) {
  const std::string text = value.IsString() ? value.As<Napi::String>().Utf8Value() : std::string();
  std::string expected;
  for (const std::string& choice : choices) {
    if (text == choice) return text;
    expected += (expected.empty() ? "" : " or ") + choice;
  }
  Refuse(path, expected, value);
}

std::vector<int32_t> ReadInt32Array(Napi::Value value, const std::string& path) {
  return ReadTyped<int32_t>(value, path, napi_int32_array);
}

std::vector<uint32_t> ReadUint32Array(Napi::Value value, const std::string& path) {
  return ReadTyped<uint32_t>(value, path, napi_uint32_array);
}

std::vector<float> ReadFloat32Array(Napi::Value value, const std::string& path) {
  return ReadTyped<float>(value, path, napi_float32_array);
}

std::vector<uint8_t> ReadUint8Array(Napi::Value value, const std::string& path) {
  return ReadTyped<uint8_t>(value, path, napi_uint8_array);
}

std::vector<Napi::Value> ReadArray(Napi::Value value, const std::string& path) {
  if (!value.IsArray()) Refuse(path, "an array", value);
  const auto array = value.As<Napi::Array>();
  const uint32_t length = array.Length();
  if (length > kMaxElements)
    Refuse(path, "at most " + std::to_string(kMaxElements) + " elements", value);
  std::vector<Napi::Value> elements;
  for (uint32_t i = 0; i < length; ++i) elements.push_back(array.Get(i));
  return elements;
}

Napi::Function ReadFunctionOrNull(Napi::Value value, const std::string& path) {
  if (value.IsNull()) return {};
  if (!value.IsFunction()) Refuse(path, "a function or null", value);
  return value.As<Napi::Function>();
}

Fields::Fields(Napi::Value value, std::string path) : path_(std::move(path)) {
  if (!value.IsObject() || value.IsFunction()) Refuse(path_, "an object", value);
  object_ = value.As<Napi::Object>();
}

bool Fields::Has(const char* key) const {
  const Napi::Value value = Get(key);
  return !value.IsNull() && !value.IsUndefined();
}

}  // namespace conclave::binding
