#include "cuda/device-check/companions.h"

#include <sys/wait.h>

#include <cstdio>
#include <filesystem>
#include <sstream>

#include "conclave/base/message.h"

namespace conclave::device_check {
namespace {

struct Ended {
  int status;  // 127: there is no such program; 124: it took too long
  std::string output;
};

std::string Quote(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

// Ends it with the time.
Ended Run(const std::string& command, int seconds) {
  const std::string line = Message("timeout ", seconds, " ", command, " 2>&1");
  std::FILE* const pipe = popen(line.c_str(), "r");
  if (pipe == nullptr) return {127, "no process can be started"};
  std::string output;
  char buffer[4096];
  while (const size_t count = std::fread(buffer, 1, sizeof buffer, pipe))
    output.append(buffer, count);
  const int status = pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128, output};
}

std::string Tail(const std::string& text) {
  constexpr size_t kMost = 400;
  return text.size() <= kMost ? text : text.substr(text.size() - kMost);
}

}  // namespace

std::string RunSanitizer(const std::string& tool, const std::string& cases, int device,
                         int seconds) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  const Ended ended =
      Run(Message("compute-sanitizer --tool ", tool, " --error-exitcode 9 ", Quote(self),
                  " --only conformance --device ", device, " --cases ", Quote(cases)),
          seconds);
  if (ended.status == 0) return "passed";
  if (ended.status == 124) return "skipped: no time was left for all";
  if (ended.status == 127) return "skipped: compute-sanitizer is not here";
  if (ended.status == 9) return "failed: " + Tail(ended.output);
  return "skipped: compute-sanitizer ended with " + std::to_string(ended.status) + ": " +
         Tail(ended.output);
}

std::string RunTorch(const std::string& script, int device, int seconds,
                     std::vector<Timing>* timings) {
  const Ended ended = Run(Message("python3 ", Quote(script), " ", device), seconds);
  if (ended.status != 0)
    return "skipped: python3 with torch ended with " + std::to_string(ended.status) + ": " +
           Tail(ended.output);
  std::istringstream lines(ended.output);
  std::string operation;
  int64_t rows = 0;
  double time = 0;
  int known = 0;
  while (lines >> operation >> rows >> time) {
    for (Timing& timing : *timings) {
      if (timing.operation != operation || timing.rows != rows) continue;
      timing.torch = time;
      ++known;
    }
  }
  return Message("passed: ", known, " times");
}

}  // namespace conclave::device_check
