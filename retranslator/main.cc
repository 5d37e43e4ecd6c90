// saldo-retranslator: only composes.
#include <memory>
#include <utility>

#include "common/program/program.h"
#include "retranslator/app.h"
#include "retranslator/config.h"

int main(int argc, char** argv) {
  saldo::retranslator::RetranslatorConfig config;
  return saldo::program::Run(
      {.name = "saldo-retranslator",
       .summary = "Ships the outbox to Kafka, at least once and in order per key.",
       .bind = [&](saldo::config::Binder& binder) { Bind(binder, config); },
       .log = config.log,
       .make_app =
           [&](saldo::program::Environment environment) {
             return std::make_unique<saldo::retranslator::App>(config, std::move(environment));
           }},
      argc, argv);
}
