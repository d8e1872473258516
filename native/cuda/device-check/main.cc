// Checks a device in one run: what it does at most, every case of the conformance suite, and what
// operations take beside what they must take. Ends with a table, and with 1 where something failed.

#include <fstream>
#include <iostream>

#include "conclave/base/error.h"
#include "cuda/device-check/ceilings.h"
#include "cuda/device-check/conformance.h"
#include "cuda/device-check/timings.h"
#include "kernels/cuda/backend.h"

namespace conclave::device_check {
namespace {

struct Options {
  std::string json;  // file; empty: none
  int device = 0;
  int seconds = 420;
  bool small = CONCLAVE_DEVICE_CHECK_SMALL;
  // Of the conformance suite, as --gtest_filter has them.
  std::string cases = "*/" CONCLAVE_DEVICE_CHECK_CASES "*";
};

constexpr const char* kUsage =
    "usage: conclave_device_check [--json FILE] [--device N] [--seconds N] [--small] "
    "[--cases FILTER]\n";

Options Read(int count, char** values) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string name = values[i];
    const auto value = [&]() -> std::string {
      if (++i == count) throw Error(ErrorCode::kInvalidArgument, name + ": expected a value");
      return values[i];
    };
    if (name == "--json") {
      options.json = value();
    } else if (name == "--device") {
      options.device = std::stoi(value());
    } else if (name == "--seconds") {
      options.seconds = std::stoi(value());
    } else if (name == "--cases") {
      options.cases = value();
    } else if (name == "--small") {
      options.small = true;
    } else {
      throw Error(ErrorCode::kInvalidArgument, name + " is no option\n" + kUsage);
    }
  }
  return options;
}

// Runs parts one after the other, each with its time; what throws has failed, and the others go on.
class Parts {
 public:
  Parts(Report& report, Clock::time_point deadline) : report_(report), deadline_(deadline) {}

  template <typename Body>
  void Run(const std::string& name, const Body& body) {
    const Clock::time_point begin = Clock::now();
    Part part{name, "skipped: no time is left", 0};
    if (begin < deadline_) {
      try {
        part.outcome = body();
      } catch (const std::exception& error) {
        part.outcome = std::string("failed: ") + error.what();
      }
    }
    part.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    std::cerr << part.name << ": " << part.outcome << std::endl;
    report_.parts.push_back(std::move(part));
  }

 private:
  Report& report_;
  Clock::time_point deadline_;
};

DeviceInfo Find(int index) {
  for (DeviceInfo& device : cuda::Devices()) {
    if (device.index == index) return device;
  }
  throw Error(ErrorCode::kUnsupported, "no device " + std::to_string(index));
}

int Check(const Options& options) {
  const Clock::time_point deadline = Clock::now() + std::chrono::seconds(options.seconds);
  Report report;
  report.device = Find(options.device);
  Parts parts(report, deadline);
  parts.Run("ceilings", [&]() -> std::string {
    report.ceilings = MeasureCeilings(options.device);
    return "passed";
  });
  parts.Run("conformance", [&] { return RunConformance(options.cases); });
  parts.Run("operations", [&]() -> std::string {
    const ModelShape shape = options.small ? SmallShape() : RealShape();
    report.model = shape.name;
    const std::vector<int64_t> rows =
        options.small ? std::vector<int64_t>{1, 7, 20} : std::vector<int64_t>{1, 16, 64, 256, 2048};
    const std::unique_ptr<Backend> backend = cuda::CreateBackend(options.device, 1);
    const Workload workload(*backend, shape, rows.back());
    Timings timed = TimeOperations(*backend, workload, rows, deadline);
    report.timings = std::move(timed.timings);
    if (timed.problem) return "failed: " + *timed.problem;
    return timed.complete ? "passed" : "skipped: no time was left for all";
  });
  report.Print(std::cout);
  if (!options.json.empty()) {
    std::ofstream file(options.json);
    report.WriteJson(file);
    if (!file.flush()) throw Error(ErrorCode::kIo, options.json + ": cannot be written");
  }
  return report.passed() ? 0 : 1;
}

}  // namespace
}  // namespace conclave::device_check

int main(int count, char** values) {
  try {
    return conclave::device_check::Check(conclave::device_check::Read(count, values));
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 2;
  }
}
