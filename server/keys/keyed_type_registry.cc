#include "server/keys/keyed_type_registry.h"

#include <string>
#include <utility>

#include "absl/time/time.h"
#include "common/base/call_context.h"
#include "common/base/status_macros.h"
#include "common/observability/log.h"
#include "server/keys/faults.h"

namespace saldo::keys {
namespace {

constexpr absl::Duration kDatabaseTimeout = absl::Seconds(30);

metrics::Counter& ReloadCounter(metrics::Registry& registry, const std::string& result) {
  return registry.AddCounter(
      "saldo_keyed_types_reloads_total",
      "Times that the types of locks and states were to be read anew, on SIGHUP.",
      {{"result", result}});
}

std::string NameOf(const TypesFile& file) { return file.path.empty() ? "built-in" : file.path; }

// One line each: together they are hard to read.
void LogFaults(const char* event, const TypesFile& file, const absl::Status& status) {
  for (const std::string& fault : FaultsOf(status))
    log::Error(event, {{"file", NameOf(file)}, {"fault", fault}});
}

}  // namespace

KeyedTypeRegistry::KeyedTypeRegistry(TypesFile file, std::vector<KeyedTypeUse> uses,
                                     postgres::Pool& pool, metrics::Registry& registry)
    : file_(std::move(file)),
      store_(pool, std::move(uses)),
      reloaded_(ReloadCounter(registry, "ok")),
      refused_(ReloadCounter(registry, "refused")) {}

absl::Status KeyedTypeRegistry::Start() {
  if (absl::Status status = Load(); !status.ok()) {
    LogFaults("types of locks and states not loaded", file_, status);
    return status;
  }
  log::Info("types of locks and states loaded",
            {{"file", NameOf(file_)}, {"types", current()->all().size()}});
  return absl::OkStatus();
}

absl::Status KeyedTypeRegistry::Reload() {
  const absl::Status status = Load();
  if (!status.ok()) {
    refused_.Increment();
    LogFaults("types of locks and states not reloaded", file_, status);
    return status;
  }
  reloaded_.Increment();
  log::Info("types of locks and states reloaded",
            {{"file", NameOf(file_)}, {"types", current()->all().size()}});
  return absl::OkStatus();
}

absl::Status KeyedTypeRegistry::CheckFile() const {
  const absl::Status status = ReadKeyedTypes(file_).status();
  if (!status.ok()) {
    refused_.Increment();
    LogFaults("types of locks and states not reloaded", file_, status);
  }
  return status;
}

absl::Status KeyedTypeRegistry::Load() {
  absl::MutexLock loading(&load_mutex_);
  SALDO_ASSIGN_OR_RETURN(const std::vector<KeyedType> configured, ReadKeyedTypes(file_));
  SALDO_ASSIGN_OR_RETURN(std::vector<KeyedType> types,
                         store_.Sync(CallContext::WithTimeout(kDatabaseTimeout), configured));
  auto loaded = std::make_shared<const KeyedTypes>(std::move(types));
  absl::MutexLock lock(&mutex_);
  current_ = std::move(loaded);
  return absl::OkStatus();
}

}  // namespace saldo::keys
