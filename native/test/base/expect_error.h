#pragma once

#include <gtest/gtest.h>

#include <string>

#include "conclave/base/error.h"

namespace conclave {

// Expects an Error with a code, whose message has a part.
template <typename Body>
void ExpectError(ErrorCode code, const std::string& part, const Body& body) {
  try {
    body();
    ADD_FAILURE() << "expected an error about: " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos)
        << error.what() << "\n  lacks: " << part;
  }
}

}  // namespace conclave
