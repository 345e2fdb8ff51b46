// Pair: a real etcd and a lone cairnd, both fresh, that get the same requests.
// Owned by the test's main thread. Must never outlive the test: see ProcessCluster.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "diff/step.h"
#include "process/process_cluster.h"
#include "process/raw_client.h"
#include "proto/wire/grpc_status.h"

namespace cairn::diff {

struct Programs {
    std::string etcd;
    std::string cairnd;
};

struct Answer {
    wire::GrpcCode code = wire::GrpcCode::kOk;
    std::string text{};                   // of an error
    std::shared_ptr<Message> response{};  // null for an error

    [[nodiscard]] Answer copy() const;
};

std::string describe(const Answer& answer);

struct Exchange {
    Step step;
    Answer etcd;
    Answer cairn;
};

// A fault as a test plants it: alters what cairn answered to this request.
using Plant = std::function<void(const Step& step, Answer& cairn)>;

class Pair {
  public:
    explicit Pair(const Programs& programs, Plant plant = {});

    // Throws process::Failure when one of them ends.
    Exchange run(const Step& step);

  private:
    struct Server {
        explicit Server(const std::string& program);
        void start();
        void wait_until_serving();
        std::future<client::Result<Bytes>> send(const Step& step, const std::string& bytes);

        process::ProcessCluster cluster;
        std::optional<process::RawClient> client;
    };

    void restart();
    void follow(const Step& step, const Message& resolved, const Answer& etcd);

    Server etcd_;
    Server cairn_;
    Plant plant_;
    Revisions revisions_;
};

}  // namespace cairn::diff
