#pragma once

#include "cuda/device-check/report.h"

namespace conclave::device_check {

// Takes about a second.
Ceilings MeasureCeilings(int device);

}  // namespace conclave::device_check
