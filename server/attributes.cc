#include "server/attributes.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace cairn::server {
namespace {

bool same_urls(const google::protobuf::RepeatedPtrField<std::string>& left,
               const google::protobuf::RepeatedPtrField<std::string>& right) {
    return std::equal(left.begin(), left.end(), right.begin(), right.end());
}

}  // namespace

AttributePublisher::AttributePublisher(net::ReplicaDriver& driver, command::MemberInfo self)
    : driver_(driver), self_(std::move(self)) {}

// What would have to be read from the disk is told once more: that holds up nobody.
bool AttributePublisher::known_already() const {
    const auto members = driver_.read_view()->in_memory().members();
    return members.has_value() &&
           std::any_of(members.value().begin(), members.value().end(), [this](const auto& member) {
               return member.id() == self_.id() && member.name() == self_.name() &&
                      same_urls(member.client_urls(), self_.client_urls());
           });
}

void AttributePublisher::on_tick() {
    if (done_ || in_flight_ || !driver_.view().leader) {
        return;
    }
    if (!replayed_.is_reached(driver_.view())) {
        return;
    }
    done_ = known_already();
    if (!done_) {
        in_flight_ = true;
        driver_.submit(shared_from_this(), 0, command::MEMBER_ATTRIBUTES,
                       Bytes::copy_of(self_.SerializeAsString()));
    }
}

void AttributePublisher::on_completion(std::uint64_t, const Completion& completion) {
    in_flight_ = false;
    const auto* outcome = std::get_if<ProposalOutcome>(&completion.result);
    const auto* applied = outcome != nullptr ? std::get_if<Applied>(outcome) : nullptr;
    // Idempotent, so an unknown outcome may be repeated.
    if (applied != nullptr && !applied->error.has_value()) {
        done_ = true;
        log_line(LogLevel::kInfo, "published this member's attributes", {{"name", self_.name()}});
    } else if (applied != nullptr && applied->error == Errc::kMalformedRequest) {
        done_ = true;  // it would be again
        log_line(LogLevel::kError, "cannot publish this member's attributes",
                 {{"name", self_.name()}});
    }
}

}  // namespace cairn::server
