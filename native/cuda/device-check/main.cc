// Checks a device in one run: what it does at most, every case of the conformance suite, whole
// models against their references, and what operations and steps take beside what they must take.
// Ends with a table, and with 1 where something failed.

#include <algorithm>
#include <fstream>
#include <iostream>
#include <map>
#include <thread>

#include "conclave/base/error.h"
#include "cuda/device-check/ceilings.h"
#include "cuda/device-check/companions.h"
#include "cuda/device-check/conformance.h"
#include "cuda/device-check/models/carried.h"
#include "cuda/device-check/models/goldens.h"
#include "cuda/device-check/models/large_model.h"
#include "cuda/device-check/timings.h"
#include "kernels/cuda/backend.h"

namespace conclave::device_check {
namespace {

constexpr int kMostSanitizerSeconds = 60;  // of each tool

struct Options {
  std::string json;    // file; empty: none
  std::string models;  // as write-models.mjs writes them; empty: none
  std::string torch;   // script; empty: none
  std::string only;    // part; empty: all
  int device = 0;
  int seconds = 420;
  bool small = CONCLAVE_DEVICE_CHECK_SMALL;
  // Of the conformance suite, as --gtest_filter has them.
  std::string cases = "*/" CONCLAVE_DEVICE_CHECK_CASES "*";
};

constexpr const char* kUsage =
    "usage: conclave_device_check [--json FILE] [--models FILE] [--torch SCRIPT] [--device N] "
    "[--seconds N] [--small] [--only PART] [--cases FILTER]\n";

Options Read(int count, char** values) {
  Options options;
  const std::map<std::string, std::string*> texts = {{"--json", &options.json},
                                                     {"--models", &options.models},
                                                     {"--torch", &options.torch},
                                                     {"--only", &options.only},
                                                     {"--cases", &options.cases}};
  const std::map<std::string, int*> numbers = {{"--device", &options.device},
                                               {"--seconds", &options.seconds}};
  for (int i = 1; i < count; ++i) {
    const std::string name = values[i];
    const auto value = [&]() -> std::string {
      if (++i == count) throw Error(ErrorCode::kInvalidArgument, name + ": expected a value");
      return values[i];
    };
    if (name == "--small") {
      options.small = true;
    } else if (const auto text = texts.find(name); text != texts.end()) {
      *text->second = value();
    } else if (const auto number = numbers.find(name); number != numbers.end()) {
      *number->second = std::stoi(value());
    } else {
      throw Error(ErrorCode::kInvalidArgument, name + " is no option\n" + kUsage);
    }
  }
  return options;
}

// Runs parts one after the other, each with its time; what throws has failed, and the others go on.
class Parts {
 public:
  Parts(Report& report, std::string only, Clock::time_point deadline)
      : report_(report), only_(std::move(only)), deadline_(deadline) {}

  template <typename Body>
  void Run(const std::string& name, const Body& body) {
    if (!only_.empty() && name != only_) return;
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
  std::string only_;
  Clock::time_point deadline_;
};

DeviceInfo Find(int index) {
  for (DeviceInfo& device : cuda::Devices()) {
    if (device.index == index) return device;
  }
  throw Error(ErrorCode::kUnsupported, "no device " + std::to_string(index));
}

std::string TimeLayer(const Options& options, Clock::time_point deadline, Report* report) {
  const ModelShape shape = options.small ? SmallShape() : RealShape();
  report->model = shape.name;
  const std::vector<int64_t> rows =
      options.small ? std::vector<int64_t>{1, 7, 20} : std::vector<int64_t>{1, 16, 64, 256, 2048};
  const std::unique_ptr<Backend> backend = cuda::CreateBackend(options.device, 1);
  const Workload workload(*backend, shape, rows.back());
  Timings timed = TimeOperations(*backend, workload, rows, deadline);
  report->timings = std::move(timed.timings);
  if (timed.problem) return "failed: " + *timed.problem;
  return timed.complete ? "passed" : "skipped: no time was left for all";
}

// Parts over whole models.
void CheckModels(const Options& options, Clock::time_point deadline, Parts* parts, Report* report) {
  if (options.models.empty()) return;
  const CarriedModels models = ReadCarriedModels(options.models);
  const int threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  parts->Run("goldens", [&] {
    return CheckGoldens(cuda::CreateBackend(options.device, threads), models.goldens, deadline);
  });
  parts->Run("model", [&]() -> std::string {
    const StepSizes sizes =
        options.small ? StepSizes{{1, 3}, 31, 32} : StepSizes{{1, 16, 64, 256}, 2047, 2048};
    const std::vector<Timing> steps =
        TimeSteps(cuda::CreateBackend(options.device, threads), models.large, sizes, deadline);
    report->timings.insert(report->timings.end(), steps.begin(), steps.end());
    return steps.size() == sizes.sequences.size() + 1 ? "passed"
                                                      : "skipped: no time was left for all";
  });
}

int Check(const Options& options) {
  const Clock::time_point deadline = Clock::now() + std::chrono::seconds(options.seconds);
  const auto seconds_left = [&] {
    const auto left = std::chrono::duration_cast<std::chrono::seconds>(deadline - Clock::now());
    return std::clamp(static_cast<int>(left.count()), 1, kMostSanitizerSeconds);
  };
  Report report;
  report.device = Find(options.device);
  Parts parts(report, options.only, deadline);
  parts.Run("ceilings", [&]() -> std::string {
    report.ceilings = MeasureCeilings(options.device);
    return "passed";
  });
  parts.Run("conformance", [&] { return RunConformance(options.cases); });
  parts.Run("operations", [&] { return TimeLayer(options, deadline, &report); });
  CheckModels(options, deadline, &parts, &report);
  if (!options.torch.empty()) {
    parts.Run("torch", [&] {
      return RunTorch(options.torch, options.device, seconds_left(), &report.timings);
    });
  }
  // Last, as it takes what is left of the time. The emulation has checks of its own.
  if (options.only.empty() && !options.small) {
    for (const char* const tool : {"memcheck", "racecheck"}) {
      parts.Run(tool,
                [&] { return RunSanitizer(tool, options.cases, options.device, seconds_left()); });
    }
  }
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
