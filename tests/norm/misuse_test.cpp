// Every function of the norm room with every argument that does not fit: refused in one line, and
// nothing written.
#include <gtest/gtest.h>

#include "arguments.h"
#include <evenkeel/core/error.h>

namespace evenkeel::norm::testing {
namespace {

struct Fault {
  std::string name;
  Call put_in;
  std::vector<std::string> refused_by;
};

std::byte* shifted(const void* data, std::size_t bytes) {
  return const_cast<std::byte*>(static_cast<const std::byte*>(data)) + bytes;
}

using Names = std::vector<std::string>;
const Names kForward{"forward_train", "forward_infer", "normalize"};
const Names kBackward{"backward_train", "backward_infer", "propagate"};
const Names kWithDy{"backward_train", "backward_infer", "propagate", "reduce_gradients"};
const Names kWithX{"forward_train",  "forward_infer", "normalize",        "backward_train",
                   "backward_infer", "propagate",     "reduce_gradients", "collect"};
const Names kWithDims{"forward_train",  "forward_infer", "normalize",     "backward_train",
                      "backward_infer", "propagate",     "collect",       "reduce_gradients",
                      "state_size",     "bind_state",    "workspace_size"};
const Names kWithState{"forward_train",  "forward_infer", "normalize",       "backward_train",
                       "backward_infer", "propagate",     "reduce_gradients"};

/// A view that does not fit x in one way after the other.
template <class View>
void add_view_faults(std::vector<Fault>& faults, const std::string& name, const Names& refused_by,
                     View& (*view_of)(Arguments&)) {
  const auto add = [&](const std::string& what, void (*change)(View&)) {
    faults.push_back({name + " " + what, [=](Arguments& a) { change(view_of(a)); }, refused_by});
  };
  add("null", [](View& v) { v.data = nullptr; });
  add("two bytes off", [](View& v) { v.data = shifted(v.data, 2); });
  add("of one sample less", [](View& v) { v.n -= 1; });
  add("of one channel less", [](View& v) { v.c -= 1; });
  add("of one position less", [](View& v) { v.s -= 1; });
  add("of one sample more", [](View& v) { v.n += 1; });
  add("of no sample", [](View& v) { v.n = 0; });
  add("in f64", [](View& v) { v.dtype = DType::f64; });
  add("in bf16", [](View& v) { v.dtype = DType::bf16; });
  add("in i32", [](View& v) { v.dtype = DType::i32; });
  add("channels last", [](View& v) { v.layout = Layout::channels_last; });
}

/// A span of another length or without memory.
void add_span_faults(std::vector<Fault>& faults, const std::string& name, const Names& refused_by,
                     const std::function<std::span<double>&(Arguments&)>& span_of) {
  const auto add = [&](const std::string& what, std::function<void(std::span<double>&)> change) {
    faults.push_back({name + " " + what, [=](Arguments& a) { change(span_of(a)); }, refused_by});
  };
  add("one short", [](std::span<double>& s) { s = s.first(kC - 1); });
  add("one long", [](std::span<double>& s) { s = {s.data(), kC + 1}; });
  add("empty", [](std::span<double>& s) { s = {}; });
  add("null", [](std::span<double>& s) { s = {static_cast<double*>(nullptr), kC}; });
}

template <class View, class T>
void add_vector_faults(std::vector<Fault>& faults, const std::string& name, const Names& refused_by,
                       T Memory::*memory, View& (*view_of)(Arguments&)) {
  using Element = std::remove_extent_t<T>;
  for (const auto size : {std::size_t{kC - 1}, std::size_t{kC + 1}}) {
    faults.push_back(
        {fmt::format("{} of {} values", name, size),
         [=](Arguments& a) { view_of(a) = View(std::span<Element>((*a.memory).*memory, size)); },
         refused_by});
  }
  faults.push_back({name + " null",
                    [=](Arguments& a) {
                      view_of(a) = View(std::span<Element>(static_cast<Element*>(nullptr), kC));
                    },
                    refused_by});
}

void add_dimension_faults(std::vector<Fault>& faults) {
  const auto add = [&](const std::string& name, std::function<void(ConstChannelView&)> change) {
    faults.push_back({"x " + name, [=](Arguments& a) { change(a.x); }, kWithDims});
  };
  add("without channels", [](ConstChannelView& v) { v.c = 0; });
  add("of negative samples", [](ConstChannelView& v) { v.n = -1; });
  add("of negative positions", [](ConstChannelView& v) { v.s = -1; });
  add("in i64", [](ConstChannelView& v) { v.dtype = DType::i64; });
  faults.push_back({"x alone in bf16", [](Arguments& a) { a.x.dtype = DType::bf16; }, kWithState});
  add("of 2^80 elements", [](ConstChannelView& v) { v.n = v.c = std::int64_t{1} << 40; });
  add("of 2^63 positions", [](ConstChannelView& v) { v.s = INT64_MAX; });
  faults.push_back({"x null", [](Arguments& a) { a.x.data = nullptr; }, kWithX});
  faults.push_back({"x two bytes off",
                    [](Arguments& a) { a.x.data = static_cast<const std::byte*>(a.x.data) + 2; },
                    kWithX});
  faults.push_back({"one value per channel",
                    [](Arguments& a) {
                      a.x.n = a.x.s = a.y.n = a.y.s = 1;
                      a.epilogue.add.reset();
                    },
                    {"forward_train"}});
}

void add_overlaps(std::vector<Fault>& faults) {
  const auto add = [&](const std::string& name, const Names& refused_by, const Call& put_in) {
    faults.push_back({name, put_in, refused_by});
  };
  add("y one element behind x", kForward,
      [=](Arguments& a) { a.y.data = shifted(a.x.data, sizeof(float)); });
  add("y one element behind the added tensor", kForward,
      [=](Arguments& a) { a.y.data = shifted(a.epilogue.add->data, sizeof(float)); });
  add("dx one element behind x", kBackward,
      [=](Arguments& a) { a.dx.data = shifted(a.x.data, sizeof(float)); });
  add("dx one element behind dy", kBackward,
      [=](Arguments& a) { a.dx.data = shifted(a.dy.data, sizeof(float)); });
  add("dadd one element behind dy", kBackward,
      [=](Arguments& a) { a.dadd->data = shifted(a.dy.data, sizeof(float)); });
  add("dadd in x", kBackward, [](Arguments& a) { a.dadd->data = const_cast<void*>(a.x.data); });
  add("dadd in dx", kBackward, [](Arguments& a) { a.dadd->data = a.dx.data; });
}

void add_state_faults(std::vector<Fault>& faults) {
  const Names with_finalize{"forward_train",  "forward_infer", "normalize",        "backward_train",
                            "backward_infer", "propagate",     "reduce_gradients", "finalize"};
  const Names with_update{"forward_train",    "forward_infer",  "normalize",
                          "backward_train",   "backward_infer", "propagate",
                          "reduce_gradients", "finalize",       "update_running"};
  const Names with_affine{"forward_train",    "forward_infer",  "normalize",
                          "backward_train",   "backward_infer", "propagate",
                          "reduce_gradients", "finalize",       "accumulate_affine_gradients"};
  add_span_faults(faults, "state.mean", with_update,
                  [](Arguments& a) -> std::span<double>& { return a.state.mean; });
  add_span_faults(faults, "state.var", with_update,
                  [](Arguments& a) -> std::span<double>& { return a.state.var; });
  add_span_faults(faults, "state.inv_std", with_affine,
                  [](Arguments& a) -> std::span<double>& { return a.state.inv_std; });
  faults.push_back(
      {"a mask of one byte less",
       [](Arguments& a) { a.state.mask = a.state.mask.first(a.state.mask.size() - 8); },
       kWithState});
  faults.push_back({"no mask", [](Arguments& a) { a.state.mask = {}; }, kWithState});
  faults.push_back({"a mask at null",
                    [](Arguments& a) {
                      a.state.mask = {static_cast<std::uint8_t*>(nullptr), a.state.mask.size()};
                    },
                    kWithState});
}

void add_memory_faults(std::vector<Fault>& faults) {
  const auto add = [&](const std::string& name,
                       std::function<std::span<std::byte>(std::span<std::byte>)> change) {
    faults.push_back(
        {"a workspace " + name, [=](Arguments& a) { a.workspace = change(a.workspace); }, kWithX});
  };
  add("of nothing", [](std::span<std::byte>) { return std::span<std::byte>(); });
  add("of 8 bytes", [](std::span<std::byte> m) { return m.first(8); });
  add("at null", [](std::span<std::byte> m) {
    return std::span<std::byte>(static_cast<std::byte*>(nullptr), m.size());
  });
  add("four bytes off", [](std::span<std::byte> m) { return m.subspan(4); });
}

void add_number_faults(std::vector<Fault>& faults) {
  const double nan = NAN, inf = INFINITY;
  for (const double bad : {-1e-5, nan, inf}) {
    faults.push_back({fmt::format("eps {}", bad),
                      [=](Arguments& a) { a.eps = bad; },
                      {"forward_train", "forward_infer", "finalize"}});
    faults.push_back(
        {fmt::format("count {}", bad), [=](Arguments& a) { a.count = bad; }, {"propagate"}});
  }
  for (const double bad : {-1.0, 0.0, 1.0, nan}) {
    faults.push_back({fmt::format("count {} of a batch", bad),
                      [=](Arguments& a) { a.count = bad; },
                      {"update_running"}});
    faults.push_back({fmt::format("moments of {} values", bad),
                      [=](Arguments& a) { a.memory->count[2] = bad; },
                      {"finalize"}});
  }
  const Names with_running{"forward_train", "update_running"};
  for (const double bad : {-0.1, 1.1, nan, inf}) {
    faults.push_back({fmt::format("momentum {}", bad),
                      [=](Arguments& a) { a.running.momentum = bad; }, with_running});
  }
  faults.push_back(
      {"negative batches", [](Arguments& a) { a.memory->batches = -1; }, with_running});
  faults.push_back({"a cumulative average without a count",
                    [](Arguments& a) {
                      a.running.momentum.reset();
                      a.running.batches = nullptr;
                    },
                    with_running});
  for (const double bad : {nan, inf}) {
    faults.push_back(
        {fmt::format("slope {}", bad), [=](Arguments& a) { a.epilogue.slope = bad; }, kForward});
  }
}

std::vector<Fault> all_faults() {
  std::vector<Fault> faults;
  add_dimension_faults(faults);
  add_view_faults(
      faults, "y", kForward, +[](Arguments& a) -> ChannelView& { return a.y; });
  add_view_faults(
      faults, "dx", kBackward, +[](Arguments& a) -> ChannelView& { return a.dx; });
  add_view_faults(
      faults, "dadd", kBackward, +[](Arguments& a) -> ChannelView& { return *a.dadd; });
  add_view_faults(
      faults, "dy", kWithDy, +[](Arguments& a) -> ConstChannelView& { return a.dy; });
  add_view_faults(
      faults, "the added tensor", kForward,
      +[](Arguments& a) -> ConstChannelView& { return *a.epilogue.add; });
  add_overlaps(faults);
  add_state_faults(faults);
  add_memory_faults(faults);
  add_number_faults(faults);
  const Names with_affine{"forward_train",  "forward_infer",  "normalize",
                          "backward_train", "backward_infer", "propagate"};
  add_vector_faults<ConstVectorView>(
      faults, "gamma", with_affine, &Memory::gamma,
      +[](Arguments& a) -> ConstVectorView& { return a.affine.gamma; });
  add_vector_faults<ConstVectorView>(
      faults, "beta", with_affine, &Memory::beta,
      +[](Arguments& a) -> ConstVectorView& { return a.affine.beta; });
  const Names with_gradients{"backward_train", "backward_infer", "accumulate_affine_gradients"};
  add_vector_faults<VectorView>(
      faults, "dgamma", with_gradients, &Memory::dgamma,
      +[](Arguments& a) -> VectorView& { return a.dgamma; });
  add_vector_faults<VectorView>(
      faults, "dbeta", with_gradients, &Memory::dbeta,
      +[](Arguments& a) -> VectorView& { return a.dbeta; });
  using Span = std::span<double>;
  add_span_faults(faults, "mean", {"forward_infer"}, [](Arguments& a) -> Span& { return a.mean; });
  add_span_faults(faults, "var", {"forward_infer"}, [](Arguments& a) -> Span& { return a.var; });
  const Names with_running{"forward_train", "update_running"};
  add_span_faults(faults, "running.mean", with_running,
                  [](Arguments& a) -> Span& { return a.running.mean; });
  add_span_faults(faults, "running.var", with_running,
                  [](Arguments& a) -> Span& { return a.running.var; });
  const Names with_moments{"collect", "combine", "finalize"};
  add_span_faults(faults, "moments.count", with_moments,
                  [](Arguments& a) -> Span& { return a.moments.count; });
  add_span_faults(faults, "moments.mean", with_moments,
                  [](Arguments& a) -> Span& { return a.moments.mean; });
  add_span_faults(faults, "moments.m2", with_moments,
                  [](Arguments& a) -> Span& { return a.moments.m2; });
  const Names with_sums{"reduce_gradients", "accumulate_affine_gradients", "propagate"};
  add_span_faults(faults, "sums.g", with_sums, [](Arguments& a) -> Span& { return a.sums.g; });
  add_span_faults(faults, "sums.g_centred", with_sums,
                  [](Arguments& a) -> Span& { return a.sums.g_centred; });
  return faults;
}

TEST(MisusedNorm, EveryFunctionTakesTheArgumentsBeforeTheyAreSpoiled) {
  for (const auto& [name, call] : functions()) {
    Arguments arguments;
    EXPECT_NO_THROW(call(arguments)) << name;
  }
}

TEST(MisusedNorm, EveryArgumentThatDoesNotFitIsRefusedAndNothingIsWritten) {
  std::size_t refusals = 0;
  for (const Fault& fault : all_faults()) {
    for (const auto& [name, call] : functions()) {
      if (std::ranges::count(fault.refused_by, name) == 0) continue;
      SCOPED_TRACE(name + ": " + fault.name);
      Arguments arguments;
      fault.put_in(arguments);
      const auto before = std::make_unique<Memory>(*arguments.memory);
      try {
        call(arguments);
        ADD_FAILURE() << "accepted";
      } catch (const Error& error) {
        const std::string message = error.what();
        EXPECT_EQ(message.rfind("[batch_norm] ", 0), 0U) << message;
        EXPECT_EQ(message.find('\n'), std::string::npos) << message;
        ++refusals;
      }
      EXPECT_EQ(std::memcmp(before.get(), arguments.memory.get(), sizeof(Memory)), 0) << "written";
    }
  }
  EXPECT_GT(refusals, 500U);
}

TEST(MisusedNorm, AStateOfTooLittleMemoryIsNotBound) {
  Arguments a;
  const std::size_t bytes = state_size(a.x, a.epilogue);
  EXPECT_NO_THROW(bind_state(std::span(a.memory->state).first(bytes), a.x, a.epilogue));
  EXPECT_THROW(bind_state(std::span(a.memory->state).first(bytes - 1), a.x, a.epilogue),
               UsageError);
  EXPECT_THROW(bind_state({}, a.x, a.epilogue), UsageError);
  EXPECT_THROW(bind_state(std::span(a.memory->state).subspan(4, bytes), a.x, a.epilogue),
               UsageError);
}

TEST(MisusedNorm, PhasesOnAnEmptyBatchWriteNothing) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    for (const auto& [n, s] : {std::pair(0, 4), std::pair(3, 0)}) {
      Arguments a;
      for (ConstChannelView* v : {&a.x, &a.dy, &*a.epilogue.add}) {
        v->n = n;
        v->s = s;
        v->layout = layout;
      }
      for (ChannelView* v : {&a.y, &a.dx, &*a.dadd}) {
        v->n = n;
        v->s = s;
        v->layout = layout;
      }
      const Memory before = *a.memory;
      for (const auto& [name, call] : functions()) {
        if (std::ranges::count(kWithX, name) == 0) continue;
        EXPECT_NO_THROW(call(a)) << name;
      }
      EXPECT_EQ(std::memcmp(before.y, a.memory->y, sizeof before.y), 0);
      EXPECT_EQ(std::memcmp(before.dx, a.memory->dx, sizeof before.dx), 0);
      EXPECT_EQ(std::memcmp(before.dadd, a.memory->dadd, sizeof before.dadd), 0);
      EXPECT_EQ(std::memcmp(before.dgamma, a.memory->dgamma, sizeof before.dgamma), 0);
      EXPECT_EQ(a.memory->batches, before.batches);
    }
  }
}

}  // namespace
}  // namespace evenkeel::norm::testing
