#include "server/net/snapshot_driver.h"

#include <optional>
#include <utility>
#include <variant>

#include <boost/asio/post.hpp>
#include <fmt/format.h>

#include "base/overload.h"

namespace cairn::server::net {
namespace {

constexpr double kTidySeconds = 5;

struct Failure {
    const char* work;
    const Error& error;
};

std::optional<Failure> failure_in(const SnapshotResult& result) {
    const auto of = [](const char* work, const auto& done) {
        return done.has_error() ? std::optional<Failure>({work, done.error()}) : std::nullopt;
    };
    return std::visit(
        Overload{[&](const SnapshotBuilt& done) { return of("build", done.manifest); },
                 [&](const PieceRead& done) { return of("read", done.chunk); },
                 [&](const SnapshotOpened& done) { return of("open", done.place); },
                 [&](const PieceWritten& done) { return of("write", done.written); },
                 [&](const IncomingVerified& done) { return of("verify", done.whole); },
                 [&](const InstallDone& done) { return of("install", done.revision); }},
        result);
}

}  // namespace

SnapshotDriver::SnapshotDriver(boost::asio::io_context& reactor, const Options& options,
                               Parts parts, Hooks hooks, Metrics& metrics)
    : reactor_(reactor),
      driver_(parts.driver),
      hooks_(std::move(hooks)),
      metrics_(metrics),
      tick_seconds_(options.tick_seconds),
      flow_(options.identity.self, options.limits),
      lanes_(
          reactor, options.identity, parts.hub,
          {[this](NodeId to, bool up) {
               flow_.on_lane(to, up);
               carry_out();
           },
           [this](NodeId from) {
               flow_.on_lane_lost(from);
               carry_out();
           },
           [this](NodeId from, SnapshotMessage message) { on_message(from, std::move(message)); },
           hooks_.on_log},
          metrics) {
    thread_ = std::make_unique<SnapshotThread>(
        parts.files, std::move(parts.store), options.rate_bytes,
        SnapshotThread::Hooks{
            [this](SnapshotResult result) {
                boost::asio::post(reactor_, [this, moved = std::move(result)]() mutable {
                    on_result(std::move(moved));
                });
            },
            [this](raft::SnapshotMeta snapshot, Result<std::shared_ptr<storage::KvEngine>> engine) {
                boost::asio::post(reactor_, [this, meta = std::move(snapshot),
                                             moved = std::move(engine)]() mutable {
                    on_engine(std::move(meta), std::move(moved));
                });
            }});
}

SnapshotDriver::~SnapshotDriver() { stop(); }

void SnapshotDriver::stop() {
    stopped_ = true;
    lanes_.stop();
    thread_->stop();
}

void SnapshotDriver::on_turn(const Effects& effects, const NodeView& view) {
    flow_.on_turn(effects, view);
    if (effects.peers != nullptr) {
        lanes_.follow();
    }
    carry_out();
}

void SnapshotDriver::tick() {
    flow_.tick();
    carry_out();
    untidied_seconds_ += tick_seconds_;
    if (untidied_seconds_ >= kTidySeconds && !stopped_) {
        untidied_seconds_ = 0;
        thread_->submit(TidySnapshots{});
    }
}

void SnapshotDriver::on_message(NodeId from, SnapshotMessage message) {
    flow_.on_message(from, std::move(message));
    carry_out();
}

void SnapshotDriver::on_session(const std::shared_ptr<PeerSession>& session, bool open) {
    lanes_.on_session(session, open);
}

void SnapshotDriver::build_for_client(SnapshotThread::Wanted wanted,
                                      SnapshotThread::OnBuilt on_built) {
    thread_->build_for_client(
        driver_.view().applied, std::move(wanted),
        [this, on_built = std::move(on_built)](
            Result<std::shared_ptr<const storage::BuiltSnapshot>> built) mutable {
            boost::asio::post(reactor_, [this, on_built = std::move(on_built),
                                         built = std::move(built)]() mutable {
                if (built.has_error()) {
                    tell("build", built.error());
                }
                on_built(std::move(built));
            });
        });
}

void SnapshotDriver::on_result(SnapshotResult result) {
    if (const auto failure = failure_in(result)) {
        tell(failure->work, failure->error);
    }
    flow_.on_result(std::move(result));
    carry_out();
}

// The state machine is the state thread's.
void SnapshotDriver::on_engine(raft::SnapshotMeta snapshot,
                               Result<std::shared_ptr<storage::KvEngine>> engine) {
    if (engine.has_error()) {
        on_result(InstallDone{std::move(snapshot), engine.error()});
        return;
    }
    driver_.replace_engine(
        std::move(engine).value(), [this, meta = std::move(snapshot)](storage::AppliedState state) {
            on_result(InstallDone{meta, state.revision, std::move(state.members)});
        });
}

void SnapshotDriver::carry_out() {
    SnapshotEffects effects;
    flow_.take_effects(effects);
    if (stopped_ || effects.empty()) {
        return;
    }
    for (const auto& note : effects.notes) {
        observe(note);
    }
    for (auto& work : effects.work) {
        thread_->submit(std::move(work));
    }
    // The last word to a member goes before its connection.
    for (const auto& [to, message] : effects.send) {
        lanes_.send(to, message);
    }
    for (const auto& [to, wanted] : effects.lanes) {
        lanes_.want(to, wanted);
    }
    for (auto& event : effects.events) {
        driver_.post(std::move(event));
    }
}

// That there are many already is told to who asked. The next attempt, or the next client, is no
// news, though directories and numbers in its detail are others.
void SnapshotDriver::tell(const std::string& work, const Error& error) {
    if (error.code != Errc::kTooManyRequests &&
        said_.admit(fmt::format("{} {}", work, errc_name(error.code)))) {
        hooks_.on_error(error);
    }
}

void SnapshotDriver::observe(const SnapshotNote& note) {
    const double seconds = static_cast<double>(note.ticks) * tick_seconds_;
    if (note.kind == SnapshotNoteKind::kSendDone) {
        metrics_.snapshot_send_seconds.Observe(seconds);
    } else if (note.kind == SnapshotNoteKind::kInstalled) {
        metrics_.snapshot_receive_seconds.Observe(seconds);
    }
    hooks_.on_note(note);
}

}  // namespace cairn::server::net
