#include "binding/environment.h"

#include <algorithm>

namespace conclave::binding {

Completions::Completions(Napi::Env env) {
  const Napi::String name = Napi::String::New(env, "conclave");
  const napi_status status = napi_create_threadsafe_function(
      env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, nullptr, OnWake, &wake_);
  if (status != napi_ok) throw Napi::Error::New(env, "conclave: no thread-safe function");
  napi_unref_threadsafe_function(env, wake_);
}

void Completions::OnWake(napi_env env, napi_value, void*, void*) {
  if (env == nullptr) return;  // the environment ends
  const Napi::HandleScope scope(env);
  Environment& environment = Environment::Of(env);
  environment.completions().Drain(environment);
}

void Completions::Drain(Environment& environment) {
  std::deque<Work> work;
  {
    const std::lock_guard lock(mutex_);
    work.swap(work_);
  }
  for (const Work& item : work) {
    try {
      item(environment);
    } catch (...) {
      // Settling fails only while the environment is being terminated: nobody waits for the promise
      // any more.
    }
  }
}

void Completions::KeepAlive(Napi::Env env, bool alive) {
  if (alive) {
    napi_ref_threadsafe_function(env, wake_);
  } else {
    napi_unref_threadsafe_function(env, wake_);
  }
}

void Completions::Close() {
  std::deque<Work> dropped;
  const std::lock_guard lock(mutex_);
  closed_ = true;
  dropped.swap(work_);
}

void Completions::Push(Work work) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  work_.push_back(std::move(work));
  // Without a bound on its queue, a call fails only once the environment ends: nobody waits then.
  if (work_.size() == 1) napi_call_threadsafe_function(wake_, nullptr, napi_tsfn_nonblocking);
}

void Call::Resolve(std::function<Napi::Value(Napi::Env)> make) const {
  completions_->Push([id = id_, make = std::move(make)](Environment& environment) {
    environment.Settle(id, &make, nullptr);
  });
}

void Call::Reject(Failure failure) const {
  completions_->Push([id = id_, failure = std::move(failure)](Environment& environment) {
    environment.Settle(id, nullptr, &failure);
  });
}

void Call::Progress(LoadPart part, uint64_t done_bytes, uint64_t total_bytes) const {
  completions_->Push([=, id = id_](Environment& environment) {
    environment.Report(id, part, done_bytes, total_bytes);
  });
}

Environment& Environment::Of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

// The hook is added after the thread-safe function, so it runs before that is torn down.
Environment::Environment(Napi::Env env)
    : env_(env), completions_(std::make_shared<Completions>(env)) {
  if (napi_add_env_cleanup_hook(env, OnCleanup, this) != napi_ok)
    throw Napi::Error::New(env, "conclave: no cleanup hook");
}

void Environment::OnCleanup(void* data) {
  auto& environment = *static_cast<Environment*>(data);
  environment.completions_->Close();
  for (const std::weak_ptr<Runtime>& watched : environment.runtimes_) {
    if (const std::shared_ptr<Runtime> runtime = watched.lock()) runtime->Stop();
  }
  environment.pending_.clear();
}

Napi::Value Environment::Run(Task task) {
  const Call call(completions_, next_call_++);
  Pending pending{
      Napi::Promise::Deferred(env_), std::move(task.runtime), {}, std::move(task.after)};
  if (!task.progress.IsEmpty()) pending.progress = Napi::Persistent(task.progress);
  const Napi::Promise promise = pending.deferred.Promise();
  if (pending_.empty()) completions_->KeepAlive(env_, true);
  pending_.emplace(call.id(), std::move(pending));
  try {
    task.executor.Post([call, work = std::move(task.work)] {
      try {
        work(call);
      } catch (...) {
        call.Reject(CurrentFailure());
      }
    });
  } catch (...) {
    const Failure failure = CurrentFailure();
    Settle(call.id(), nullptr, &failure);
  }
  return promise;
}

void Environment::Watch(const std::shared_ptr<Runtime>& runtime) {
  std::erase_if(runtimes_, [](const std::weak_ptr<Runtime>& watched) { return watched.expired(); });
  runtimes_.push_back(runtime);
}

void Environment::Settle(uint64_t id, const std::function<Napi::Value(Napi::Env)>* make,
                         const Failure* failure) {
  const auto found = pending_.find(id);
  if (found == pending_.end()) return;
  const Pending pending = std::move(found->second);
  pending_.erase(found);
  if (pending_.empty()) completions_->KeepAlive(env_, false);
  if (pending.after) pending.after();
  if (failure != nullptr) {
    pending.deferred.Reject(ToJavaScript(env_, *failure).Value());
    return;
  }
  try {
    pending.deferred.Resolve((*make)(env_));
  } catch (const Napi::Error& error) {
    pending.deferred.Reject(error.Value());
  } catch (...) {
    pending.deferred.Reject(ToJavaScript(env_, CurrentFailure()).Value());
  }
}

void Environment::Report(uint64_t id, LoadPart part, uint64_t done_bytes, uint64_t total_bytes) {
  const auto found = pending_.find(id);
  if (found == pending_.end() || found->second.progress.IsEmpty()) return;
  try {
    found->second.progress.Call(
        {Napi::Number::New(env_, static_cast<double>(done_bytes)),
         Napi::Number::New(env_, static_cast<double>(total_bytes)),
         Napi::String::New(env_, part == LoadPart::kCache ? "cache" : "weights")});
  } catch (const Napi::Error& error) {
    napi_fatal_exception(env_, error.Value());  // an uncaught exception, as of any callback
  }
}

}  // namespace conclave::binding
