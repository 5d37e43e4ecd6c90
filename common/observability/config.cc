#include "common/observability/config.h"

namespace saldo::log {

void Bind(config::Binder& binder, Options& options) {
  binder.Enum("level", &options.level,
              {{"debug", Level::kDebug},
               {"info", Level::kInfo},
               {"warning", Level::kWarning},
               {"error", Level::kError}},
              "Least severe lines that are written; debug tells of every call");
  binder.Enum("format", &options.format, {{"json", Format::kJson}, {"console", Format::kConsole}},
              "json for machines, console for people");
}

}  // namespace saldo::log

namespace saldo::http {

void Bind(config::Binder& binder, HttpOptions& options) {
  binder.String("address", &options.address, {.min = 1, .max = 255}, "IP address to listen on");
  binder.Int("port", &options.port, {.min = 0, .max = 65535},
             "TCP port to listen on; 0 picks a free one");
}

}  // namespace saldo::http
