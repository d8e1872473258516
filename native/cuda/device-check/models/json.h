#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace conclave::device_check {

// A document of JSON, and each value in it.
struct Json {
  enum class Kind { kNull, kBoolean, kNumber, kString, kArray, kObject };

  Kind kind = Kind::kNull;
  bool boolean = false;
  double number = 0;
  std::string text;
  std::vector<Json> elements;                         // of an array
  std::vector<std::pair<std::string, Json>> members;  // of an object

  // Null where there is none of that name.
  const Json* Find(std::string_view name) const;
  // Throws kInvalidArgument where there is none, or it is of another kind.
  const Json& Get(std::string_view name, Kind expected) const;
  const std::string& Text(std::string_view name) const { return Get(name, Kind::kString).text; }
  double Number(std::string_view name) const { return Get(name, Kind::kNumber).number; }
};

// Throws kInvalidArgument, with the place.
Json ParseJson(const std::string& text);

}  // namespace conclave::device_check
