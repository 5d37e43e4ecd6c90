// The manifests of Kubernetes, as they are before Kustomize joins them.
#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "tests/docker/deployment.h"

namespace saldo::deployment {
namespace {

// The object of this kind and name in a file of the base.
YAML::Node Object(const std::string& path, const std::string& kind, const std::string& name) {
  for (const YAML::Node& document : Documents("k8s/base/" + path)) {
    if (document["kind"].as<std::string>() == kind &&
        document["metadata"]["name"].as<std::string>() == name)
      return document;
  }
  FAIL(path << " has no " << kind << " " << name);
  return {};
}

struct Deployed {
  const char* program;
  const char* path;
  const char* config;
};
const Deployed kDeployed[] = {{kServer, "server.yaml", "server-config.yaml"},
                              {kRelay, "retranslator.yaml", "retranslator-config.yaml"}};

// What the Pod Security Standard "restricted" asks for, a read-only root, and bounds.
void CheckRestricted(const YAML::Node& pod) {
  const YAML::Node all = pod["securityContext"];
  CHECK(all["runAsNonRoot"].as<bool>());
  CHECK(absl::StrCat(all["runAsUser"].as<int>(), ":", all["runAsGroup"].as<int>()) ==
        Matches(Text("Dockerfile"), "\nUSER ([0-9:]+)").at(0));
  CHECK(all["seccompProfile"]["type"].as<std::string>() == "RuntimeDefault");
  CHECK_FALSE(pod["automountServiceAccountToken"].as<bool>());
  // Else variables such as SALDO_SERVER_PORT, which no program takes.
  CHECK_FALSE(pod["enableServiceLinks"].as<bool>());
  for (const char* forbidden : {"hostNetwork", "hostPID", "hostIPC", "initContainers"})
    CHECK(!pod[forbidden]);
  for (const auto& volume : pod["volumes"]) {
    INFO(volume["name"]);
    CHECK((volume["configMap"] || volume["secret"]));
  }
  REQUIRE(pod["containers"].size() == 1);
  const YAML::Node container = pod["containers"][0];
  const YAML::Node context = container["securityContext"];
  CHECK_FALSE(context["allowPrivilegeEscalation"].as<bool>());
  CHECK(context["readOnlyRootFilesystem"].as<bool>());
  CHECK(context["capabilities"]["drop"].size() == 1);
  CHECK(context["capabilities"]["drop"][0].as<std::string>() == "ALL");
  CHECK(!context["capabilities"]["add"]);
  CHECK(!context["privileged"]);
  const YAML::Node resources = container["resources"];
  for (const YAML::Node& bound : {resources["requests"]["cpu"], resources["requests"]["memory"],
                                  resources["limits"]["memory"]})
    CHECK(bound.IsDefined());
}

Environment EnvironmentOf(const YAML::Node& container) {
  Environment environment;
  for (const auto& variable : container["env"])
    environment.emplace_back(variable["name"].as<std::string>(),
                             variable["value"].as<std::string>());
  return environment;
}

}  // namespace

TEST_CASE("the pods are as restricted as can be") {
  CheckRestricted(Object("migrate-job.yaml", "Job", "saldo-migrate")["spec"]["template"]["spec"]);
  for (const Deployed& one : kDeployed)
    CheckRestricted(Object(one.path, "Deployment", one.program)["spec"]["template"]["spec"]);
}

TEST_CASE("the deployments fit their programs") {
  for (const Deployed& one : kDeployed) {
    INFO(one.program);
    const YAML::Node pod = Object(one.path, "Deployment", one.program)["spec"]["template"]["spec"];
    const YAML::Node container = pod["containers"][0];
    std::map<std::string, int> ports;
    for (const auto& port : container["ports"])
      ports[port["name"].as<std::string>()] = port["containerPort"].as<int>();
    CHECK(ports == Ports(one.program));

    // Readiness asks for what the program rests on, liveness does not.
    CHECK(container["readinessProbe"]["httpGet"]["path"].as<std::string>() == "/ready");
    CHECK(container["readinessProbe"]["httpGet"]["port"].as<std::string>() == "status");
    if (ports.count("grpc") == 1) {
      CHECK(container["livenessProbe"]["grpc"]["port"].as<int>() == ports["grpc"]);
      const YAML::Node startup = container["startupProbe"];
      CHECK(startup["grpc"]["port"].as<int>() == ports["grpc"]);
      CHECK(absl::Seconds(startup["periodSeconds"].as<int>() *
                          startup["failureThreshold"].as<int>()) > StartTime(one.program));
    } else {
      CHECK(container["livenessProbe"]["httpGet"]["path"].as<std::string>() == "/live");
    }

    absl::Duration stop = StopTime(one.program);
    if (container["lifecycle"])
      stop += absl::Seconds(container["lifecycle"]["preStop"]["sleep"]["seconds"].as<int>());
    CHECK(absl::Seconds(pod["terminationGracePeriodSeconds"].as<int>()) > stop);

    CHECK(Faults(one.program, std::string("k8s/base/") + one.config, EnvironmentOf(container)) ==
          "");
    CHECK(
        Object(one.path, "PodDisruptionBudget", one.program)["spec"]["maxUnavailable"].as<int>() ==
        1);
  }
  CHECK(Faults(kRelay, "k8s/overlays/example/retranslator-config.yaml",
               {{"SALDO_POSTGRES_DSN_FILE", ""}}) == "");
  const YAML::Node scaler = Object("server.yaml", "HorizontalPodAutoscaler", kServer);
  CHECK(scaler["spec"]["scaleTargetRef"]["name"].as<std::string>() == kServer);
  // An apply would set it back.
  CHECK(!Object("server.yaml", "Deployment", kServer)["spec"]["replicas"]);
}

TEST_CASE("the network lets callers, Prometheus, names, the database, Kafka and traces through") {
  const auto policy = [](const std::string& name) {
    return Object("network-policy.yaml", "NetworkPolicy", name)["spec"];
  };
  const auto ports = [](const YAML::Node& rules) {
    std::set<int> numbers;
    for (const auto& rule : rules) {
      for (const auto& port : rule["ports"]) numbers.insert(port["port"].as<int>());
    }
    return numbers;
  };
  const YAML::Node all = policy("saldo-default");
  CHECK(all["policyTypes"].size() == 2);
  CHECK(ports(all["ingress"]) ==
        std::set<int>{Ports(kServer)["metrics"], Ports(kRelay)["metrics"]});
  CHECK(ports(all["egress"]) == std::set<int>{53, 4317});
  CHECK(ports(policy("saldo-clients")["ingress"]) == std::set<int>{Ports(kServer)["grpc"]});
  CHECK(ports(policy("saldo-database")["egress"]) == std::set<int>{5432});
  CHECK(ports(policy("saldo-kafka")["egress"]) == std::set<int>{9092});
}

}  // namespace saldo::deployment
