#include "common/rpc/grpc_log.h"

#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/observability/log.h"
#include "google/protobuf/stubs/logging.h"
#include "grpc/support/log.h"

namespace saldo::rpc {
namespace {

log::Level LevelOf(gpr_log_severity severity) {
  switch (severity) {
    case GPR_LOG_SEVERITY_DEBUG:
      return log::Level::kDebug;
    case GPR_LOG_SEVERITY_INFO:
      return log::Level::kInfo;
    default:
      // What gRPC calls an error is mostly a peer's; ours are told by the status of a call.
      return log::Level::kWarning;
  }
}

void Take(gpr_log_func_args* line) {
  const log::Level level = LevelOf(line->severity);
  if (!log::Enabled(level)) return;
  const char* slash = std::strrchr(line->file, '/');
  log::Write(level, "grpc",
             {{"detail", line->message},
              {"at", absl::StrCat(slash == nullptr ? line->file : slash + 1, ":", line->line)}});
}

// Protobuf's errors are about bytes that a peer sent, and the call's status tells of them.
void TakeProtobuf(google::protobuf::LogLevel level, const char* file, int line,
                  const std::string& message) {
  const bool fatal = level == google::protobuf::LOGLEVEL_FATAL;
  const log::Level ours = fatal ? log::Level::kError : log::Level::kDebug;
  if (!log::Enabled(ours)) return;
  log::Write(ours, "protobuf", {{"detail", message}, {"at", absl::StrCat(file, ":", line)}});
}

}  // namespace

void RouteGrpcLog() {
  gpr_set_log_function(Take);
  google::protobuf::SetLogHandler(TakeProtobuf);
}

}  // namespace saldo::rpc
