// saldo_test_program: an application that can, by its configuration, be reloaded or be slow to
// start.
#include <memory>
#include <utility>

#include "common/program/program.h"

namespace saldo {
namespace {

struct Config {
  log::Options log;
  bool reloads = false;
  bool slow = false;
};

class App final : public runtime::Service {
 public:
  App(const Config& config, program::Environment environment)
      : slow_(config.slow), pause_(std::move(environment.pause)) {
    if (config.reloads) environment.on_reload([] { log::Info("application reloads"); });
  }

  std::string_view name() const override { return "app"; }
  absl::Status Start() override {
    log::Info("application starts");
    if (slow_ && !pause_(absl::Minutes(5))) return absl::CancelledError("stopped");
    log::Info("application runs");
    return absl::OkStatus();
  }
  void Stop() override {}

 private:
  const bool slow_;
  const std::function<bool(absl::Duration)> pause_;
};

}  // namespace
}  // namespace saldo

int main(int argc, char** argv) {
  saldo::Config config;
  return saldo::program::Run(
      {.name = "saldo_test_program",
       .summary = "Does nothing.",
       .bind =
           [&](saldo::config::Binder& binder) {
             binder.Bool("reloads", &config.reloads, "Whether there is something to reload");
             binder.Bool("slow", &config.slow, "Whether the start takes minutes");
           },
       .log = config.log,
       .make_app =
           [&](saldo::program::Environment environment) {
             return std::make_unique<saldo::App>(config, std::move(environment));
           }},
      argc, argv);
}
