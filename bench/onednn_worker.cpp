// evenkeel_bench_onednn: another oneDNN than the one that evenkeel links, as a peer in a process of
// its own (two of them in one would share their names). Speaks the language of worker.h.

#include <exception>
#include <iostream>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "onednn.h"

namespace evenkeel::bench {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::pair<Family, const char*> kFamilies[] = {{Family::batch_norm, "batch norm"},
                                                        {Family::layer_norm, "layer norm"},
                                                        {Family::group_norm, "group norm"},
                                                        {Family::instance_norm, "instance norm"}};
constexpr std::pair<Operation, const char*> kOperations[] = {{Operation::forward, "forward"},
                                                             {Operation::backward, "backward"},
                                                             {Operation::inference, "inference"}};

Work work_of(const Json& request) {
  Work work;
  for (const auto& [family, name] : kFamilies) {
    if (request.at("family") == name) work.family = family;
  }
  for (const auto& [operation, name] : kOperations) {
    if (request.at("operation") == name) work.operation = operation;
  }
  work.relu = request.at("relu").get<bool>();
  work.add = request.at("add").get<bool>();
  work.threads = request.at("threads").get<int>();
  return work;
}

class Peer {
 public:
  Json answer(const Json& request) {
    const auto what = request.at("do").get<std::string>();
    if (what == "hello") return {{"peers", {"oneDNN " + onednn_version()}}};
    if (what == "data") return take_problem(request);
    if (what == "work") return make_candidates(work_of(request));
    if (what == "step" || what == "inference") return {{"candidates", Json::array()}};
    if (what == "read") return read(request);
    if (what == "time") {
      return {{"seconds", chosen(request).seconds(request.at("calls").get<std::int64_t>(),
                                                  request.at("repeats").get<int>())}};
    }
    return {{"error", "there is no request '" + what + "'"}};
  }

 private:
  /// The files are not needed: a problem is a function of its size.
  Json take_problem(const Json& request) {
    candidates_.clear();
    const auto extent = [&](const char* key) { return request.at(key).get<std::int64_t>(); };
    problem_ = std::make_unique<Problem>(ProblemSize{.n = extent("n"),
                                                     .c = extent("c"),
                                                     .h = extent("h"),
                                                     .w = extent("w"),
                                                     .groups = extent("groups")});
    return Json::object();
  }

  Json make_candidates(const Work& work) {
    candidates_.clear();
    candidates_ = onednn_candidates(*problem_, work);
    Json rows = Json::array();
    for (std::size_t i = 0; i < candidates_.size(); ++i) {
      const Candidate& candidate = candidates_[i];
      rows.push_back({{"key", i},
                      {"who", candidate.who},
                      {"version", candidate.version},
                      {"how", candidate.how},
                      {"layout", name_of(candidate.layout)},
                      {"note", candidate.note}});
    }
    return {{"candidates", rows}};
  }

  const Candidate& chosen(const Json& request) const {
    return candidates_.at(request.at("key").get<std::size_t>());
  }

  Json read(const Json& request) {
    Expected expected;
    expected.places = request.at("places").get<std::vector<std::int64_t>>();
    expected.parameters = request.at("parameters").get<std::vector<std::int64_t>>();
    const Actual actual = chosen(request).read(expected);
    return {{"output", actual.output}, {"sum_gradient", actual.sum_gradient},
            {"dgamma", actual.dgamma}, {"dbeta", actual.dbeta},
            {"mean", actual.mean},     {"var", actual.var}};
  }

  std::unique_ptr<Problem> problem_;
  std::vector<Candidate> candidates_;
};

}  // namespace
}  // namespace evenkeel::bench

int main() {
  evenkeel::bench::Peer peer;
  for (std::string line; std::getline(std::cin, line);) {
    evenkeel::bench::Json answer;
    try {
      answer = peer.answer(evenkeel::bench::Json::parse(line));
    } catch (const std::exception& error) {
      answer = {{"error", error.what()}};
    }
    std::cout << answer.dump() << std::endl;
  }
}
