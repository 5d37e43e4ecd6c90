#include "common/devstack/kafka_broker.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <system_error>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/devstack/files.h"
#include "common/devstack/loopback.h"

namespace saldo::devstack {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kPoll = absl::Milliseconds(30);
constexpr absl::Duration kProbeTimeout = absl::Seconds(2);
constexpr absl::Duration kStopGrace = absl::Seconds(20);
constexpr int kPortTries = 3;
constexpr const char* kBrokerJar = "kafka_2.13-3.9.1.jar";

constexpr const char* kLogging =
    "log4j.rootLogger=INFO, stdout\n"
    "log4j.appender.stdout=org.apache.log4j.ConsoleAppender\n"
    "log4j.appender.stdout.layout=org.apache.log4j.PatternLayout\n"
    "log4j.appender.stdout.layout.ConversionPattern=%d{ISO8601} %p %m (%c)%n\n";

std::string NewClusterId() {
  std::random_device random;
  std::string bytes;
  for (int i = 0; i < 16; ++i) bytes.push_back(static_cast<char>(random() & 0xff));
  // Kafka's tools take an id that starts with a dash for an option.
  bytes[0] = static_cast<char>(bytes[0] & 0x7f);
  return absl::WebSafeBase64Escape(bytes);
}

// Appends "key=value" lines; a key that is given twice is an error of the caller's.
std::string ToProperties(const std::map<std::string, std::string>& properties) {
  std::string text;
  for (const auto& [key, value] : properties) absl::StrAppend(&text, key, "=", value, "\n");
  return text;
}

}  // namespace

std::string DefaultKafkaLibs() {
  if (const char* libs = std::getenv("SALDO_KAFKA_LIBS"); libs != nullptr && *libs != '\0') {
    return libs;
  }
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && *cache != '\0') return absl::StrCat(cache, "/saldo/kafka-3.9.1");
  const char* home = std::getenv("HOME");
  return absl::StrCat(home == nullptr ? "" : home, "/.cache/saldo/kafka-3.9.1");
}

absl::Status CheckKafkaInstalled(const std::string& libs) {
  if (!FindProgram("java").ok()) {
    return absl::NotFoundError(
        "Kafka needs java, which is not installed: install the package "
        "openjdk-17-jre-headless");
  }
  if (access(absl::StrCat(libs, "/", kBrokerJar).c_str(), R_OK) != 0) {
    return absl::NotFoundError(
        absl::StrCat("the Kafka broker's jars are not in ", libs, " (", kBrokerJar,
                     " is missing): ./dev run and ./dev test fetch them; or set SALDO_KAFKA_LIBS"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<KafkaBroker>> KafkaBroker::Start(KafkaOptions options) {
  if (options.libs.empty()) options.libs = DefaultKafkaLibs();
  SALDO_RETURN_IF_ERROR(CheckKafkaInstalled(options.libs));
  const bool any_port = options.port == 0;
  std::unique_ptr<KafkaBroker> broker(new KafkaBroker(std::move(options)));
  SALDO_RETURN_IF_ERROR(broker->Prepare());
  absl::Status started;
  for (int i = 0; i < kPortTries; ++i) {
    if (any_port) {
      SALDO_ASSIGN_OR_RETURN(broker->options_.port, FreePort());
    }
    started = broker->StartServer();
    // Only a port that somebody else took meanwhile is worth another try.
    if (started.ok() || !any_port ||
        !absl::StrContains(started.message(), "Address already in use"))
      break;
  }
  if (!started.ok()) return started;
  return broker;
}

std::string KafkaBroker::bootstrap_servers() const {
  return absl::StrCat("127.0.0.1:", options_.port);
}

absl::Status KafkaBroker::Prepare() {
  SALDO_RETURN_IF_ERROR(MakeFolder(options_.dir + "/data"));
  SALDO_ASSIGN_OR_RETURN(options_.dir, AbsolutePath(options_.dir));
  if (options_.log_file.empty()) options_.log_file = options_.dir + "/kafka.log";
  SALDO_RETURN_IF_ERROR(WriteFile(options_.dir + "/log4j.properties", kLogging));
  // This file is all of what StorageTool's format makes that a broker needs (without its
  // bootstrap.checkpoint the broker takes the latest metadata version): one JVM start saved.
  const std::string meta = options_.dir + "/data/meta.properties";
  std::error_code error;
  if (fs::exists(meta, error)) return absl::OkStatus();
  return WriteFile(meta, absl::StrCat("version=1\ncluster.id=", NewClusterId(), "\nnode.id=1\n"));
}

absl::Status KafkaBroker::WriteConfiguration() {
  const std::string broker = absl::StrCat("127.0.0.1:", options_.port);
  const std::string controller = absl::StrCat("127.0.0.1:", controller_port_);
  std::map<std::string, std::string> properties = {
      {"process.roles", "broker,controller"},
      {"node.id", "1"},
      {"controller.quorum.voters", "1@" + controller},
      {"listeners", absl::StrCat("PLAINTEXT://", broker, ",CONTROLLER://", controller)},
      {"advertised.listeners", "PLAINTEXT://" + broker},
      {"controller.listener.names", "CONTROLLER"},
      {"listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"},
      {"log.dirs", options_.dir + "/data"},
      {"auto.create.topics.enable", options_.auto_create_topics ? "true" : "false"},
      {"num.partitions", absl::StrCat(options_.default_partitions)},
      {"offsets.topic.replication.factor", "1"},
      {"offsets.topic.num.partitions", "3"},
      {"transaction.state.log.replication.factor", "1"},
      {"transaction.state.log.min.isr", "1"},
      {"transaction.state.log.num.partitions", "3"},
      {"group.initial.rebalance.delay.ms", "0"},
      {"num.network.threads", "2"},
      {"num.io.threads", "4"},
      {"log.cleaner.dedupe.buffer.size", absl::StrCat(8 << 20)},
      // A broker that was killed cannot register again before its former session has ended:
      // the default of nine seconds would be waited for at every such start.
      {"broker.session.timeout.ms", "2000"},
      {"broker.heartbeat.interval.ms", "500"}};
  for (const auto& [key, value] : options_.properties) properties[key] = value;
  return WriteFile(options_.dir + "/server.properties", ToProperties(properties));
}

absl::Status KafkaBroker::StartServer() {
  // Nobody else knows the controller's port, so every start may take another.
  do {
    SALDO_ASSIGN_OR_RETURN(controller_port_, FreePort());
  } while (controller_port_ == options_.port);
  SALDO_RETURN_IF_ERROR(WriteConfiguration());
  ChildOptions child;
  child.name = "Kafka";
  // The serial collector: a heap this small is collected in a few milliseconds, without threads
  // that compete for a small machine's cores.
  child.argv = {"java",
                "-XX:+UseSerialGC",
                "-Xshare:auto",
                absl::StrCat("-Xms", std::min(256, options_.heap_mb), "m"),
                absl::StrCat("-Xmx", options_.heap_mb, "m"),
                "-Djava.awt.headless=true",
                absl::StrCat("-Dlog4j.configuration=file:", options_.dir, "/log4j.properties"),
                "-cp",
                options_.libs + "/*",
                "kafka.Kafka",
                options_.dir + "/server.properties"};
  child.directory = options_.dir;
  child.log_file = options_.log_file;
  server_.reset();
  SALDO_ASSIGN_OR_RETURN(server_, ChildProcess::Start(std::move(child)));
  if (absl::Status ready = AwaitReady(); !ready.ok()) {
    Kill();
    return ready;
  }
  return absl::OkStatus();
}

absl::Status KafkaBroker::AwaitReady() {
  const absl::Time deadline = absl::Now() + options_.start_timeout;
  while (absl::Now() < deadline) {
    if (options_.interrupt != nullptr && options_.interrupt->stopped()) {
      return absl::CancelledError("the start of Kafka was interrupted");
    }
    if (ProbeKafka(options_.port, kProbeTimeout).ok()) return absl::OkStatus();
    if (absl::StatusOr<ChildExit> ended = server_->Wait(kPoll); ended.ok()) {
      return absl::UnavailableError(absl::StrCat("Kafka ended with ", ended->ToString(),
                                                 "; the end of ", options_.log_file, ":\n",
                                                 server_->LogTail(40)));
    }
  }
  return absl::DeadlineExceededError(absl::StrCat("Kafka is not ready after ",
                                                  absl::FormatDuration(options_.start_timeout),
                                                  "; see ", options_.log_file));
}

void KafkaBroker::Stop() {
  if (server_ != nullptr) server_->Stop(kStopGrace);
}

void KafkaBroker::Kill() {
  if (server_ != nullptr) server_->Stop(kStopGrace, SIGKILL);
}

absl::Status KafkaBroker::Restart() {
  Stop();
  return StartServer();
}

absl::Status KafkaBroker::Pause() { return server_->Signal(SIGSTOP); }

absl::Status KafkaBroker::Continue() { return server_->Signal(SIGCONT); }

}  // namespace saldo::devstack
