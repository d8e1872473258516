#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "conclave/backend/backend.h"

namespace conclave::binding {

// Every name that createRuntime takes, as Isa in native.ts.
std::vector<std::string> BackendNames();

// The backend of a name; nullopt: the best of this machine. Throws kUnsupported when this machine
// does not have it.
std::shared_ptr<Backend> CreateBackend(const std::optional<std::string>& name, int threads);

}  // namespace conclave::binding
