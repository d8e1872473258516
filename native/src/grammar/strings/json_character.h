#pragma once

#include <cstdint>

namespace conclave {

// How the characters of a JSON string are written: in every way that JSON has, or each in the one
// way that JSON.stringify has for it.
enum class Spelling : uint8_t { kAny, kStringify };
inline constexpr int kSpellings = 2;

// The bytes of one character of a JSON string, as states that each byte leads on from.
namespace json_character {

inline constexpr int8_t kDead = -1;
inline constexpr int8_t kStart = 0;
inline constexpr int8_t kDone = 1;
inline constexpr int8_t kBackslash = 2;

// kDead when the byte does not continue a character.
int8_t Next(Spelling spelling, int8_t state, uint8_t byte);

}  // namespace json_character
}  // namespace conclave
