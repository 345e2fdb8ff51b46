// Pair: a real etcd and a lone cairnd, both fresh, that get the same requests.
// Owned by the test's main thread. Must never outlive the test: see ProcessCluster.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "diff/answer.h"
#include "diff/channel.h"
#include "diff/step.h"
#include "process/process_cluster.h"

namespace cairn::diff {

struct Programs {
    std::string etcd;
    std::string cairnd;
    std::string mutant{};  // switched on in cairnd, which has it then; empty: none
};

struct Exchange {
    Step step;
    Answer etcd;
    Answer cairn;
    // All that etcd's limit chose from, where the choice was arbitrary; else null. See ties.h.
    std::shared_ptr<const Message> candidates{};

    [[nodiscard]] Exchange copy() const;
};

class Pair {
  public:
    explicit Pair(const Programs& programs);

    // Throws process::Failure when one of them ends; a mutant's end is the difference that was
    // looked for, and so its answer.
    Exchange run(const Step& step);

  private:
    struct Server {
        explicit Server(const std::string& program, const std::string& mutant = {});
        void start();
        void wait_until_serving();
        Answer call(const Step& step);
        Answer finish(const Step& step);

        process::ProcessCluster cluster;
        Channel channel;
        Identity identity;
    };

    void restart();
    void check_alive(const Step& step);
    void follow(const Step& step, const std::string& bytes, const Answer& etcd);

    const bool has_mutant_;
    Server etcd_;
    Server cairn_;
    Revisions revisions_;
};

}  // namespace cairn::diff
