#pragma once

// What the addon keeps per JavaScript environment (the main thread's and each worker thread's), and
// how work on native threads settles promises there. Native threads hold numbers of calls, never
// JavaScript values.

#include <napi.h>

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "binding/failure.h"
#include "conclave/engine/runtime.h"
#include "conclave/weights/load_monitor.h"

namespace conclave::binding {

class Environment;

// Work for the JavaScript thread, from any thread. Work that comes after Close is never run.
class Completions {
 public:
  using Work = std::function<void(Environment&)>;

  // JavaScript thread.
  explicit Completions(Napi::Env env);
  void Drain(Environment& environment);
  void KeepAlive(Napi::Env env, bool alive);
  void Close();

  void Push(Work work);

 private:
  static void OnWake(napi_env env, napi_value function, void* context, void* data);

  std::mutex mutex_;
  std::deque<Work> work_;
  bool closed_ = false;
  napi_threadsafe_function wake_ = nullptr;
};

// A promise that work on a native thread settles.
class Call {
 public:
  Call(std::shared_ptr<Completions> completions, uint64_t id)
      : completions_(std::move(completions)), id_(id) {}

  // `make` runs on the JavaScript thread and returns the promise's value.
  void Resolve(std::function<Napi::Value(Napi::Env)> make) const;
  void Reject(Failure failure) const;
  // Calls the call's progress function.
  void Progress(LoadPart part, uint64_t done_bytes, uint64_t total_bytes) const;
  uint64_t id() const { return id_; }

 private:
  std::shared_ptr<Completions> completions_;
  uint64_t id_;
};

enum class HandleKind {
  kRuntime,
  kWeightStore,
  kExpertBank,
  kRankShard,
  kStage,
  kVocabulary,
  kGrammar,
  kTokenFilter
};
constexpr size_t kHandleKinds = 8;

class Environment {
 public:
  static Environment& Of(Napi::Env env);

  explicit Environment(Napi::Env env);

  // Runs `work` on a thread of the runtime, which is kept until the promise is settled; what `work`
  // throws rejects it.
  struct Task {
    std::shared_ptr<Runtime> runtime;
    Executor& executor;
    std::function<void(const Call&)> work;
    Napi::Function progress = {};  // may be empty
    std::function<void()> after =
        nullptr;  // on the JavaScript thread, before the promise is settled; may be empty
  };
  Napi::Value Run(Task task);

  // Threads of runtimes that live when the environment ends are stopped then.
  void Watch(const std::shared_ptr<Runtime>& runtime);

  Completions& completions() { return *completions_; }
  Napi::FunctionReference& constructor(HandleKind kind) {
    return constructors_[static_cast<size_t>(kind)];
  }
  // The state of a handle while its constructor runs; null when JavaScript calls a constructor by
  // itself.
  void* constructing = nullptr;

 private:
  friend class Call;
  struct Pending {
    Napi::Promise::Deferred deferred;
    std::shared_ptr<Runtime> runtime;
    Napi::FunctionReference progress;
    std::function<void()> after;
  };

  void Settle(uint64_t id, const std::function<Napi::Value(Napi::Env)>* make,
              const Failure* failure);
  void Report(uint64_t id, LoadPart part, uint64_t done_bytes, uint64_t total_bytes);
  static void OnCleanup(void* environment);

  Napi::Env env_;
  std::shared_ptr<Completions> completions_;
  std::unordered_map<uint64_t, Pending> pending_;
  uint64_t next_call_ = 1;
  std::vector<std::weak_ptr<Runtime>> runtimes_;
  std::array<Napi::FunctionReference, kHandleKinds> constructors_;
};

}  // namespace conclave::binding
