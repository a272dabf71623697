// Recurrent nets in plain loops over vectors, from their equations: what the layers are compared
// with.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include <evenkeel/nn/layers/gru.h>
#include <evenkeel/nn/layers/lstm.h>

namespace evenkeel::testing {

using Row = std::vector<double>;
using Sequence = std::vector<Row>;  // its valid steps alone

/// x [N, C, T] as the sequences of these lengths.
inline std::vector<Sequence> sequences_of(const Tensor& x,
                                          const std::vector<std::int64_t>& lengths) {
  const Tensor wide = x.to(DType::f64).to(Layout::channels_first);
  std::vector<Sequence> result;
  for (std::int64_t n = 0; n < x.dim(0); ++n) {
    Sequence sequence;
    for (std::int64_t t = 0; t < lengths[static_cast<std::size_t>(n)]; ++t) {
      Row row;
      for (std::int64_t c = 0; c < x.dim(1); ++c) {
        row.push_back(wide.data<double>()[(n * x.dim(1) + c) * x.dim(2) + t]);
      }
      sequence.push_back(std::move(row));
    }
    result.push_back(std::move(sequence));
  }
  return result;
}

class RecurrentReference {
 public:
  /// Copies the layer's state as it is now.
  explicit RecurrentReference(nn::LSTM& layer) : layer_(layer), norm_(layer.norm()) {
    lstm_ = true;
    read(layer);
  }
  explicit RecurrentReference(nn::GRU& layer) : layer_(layer) { read(layer); }

  /// The states of every sequence, as the layer gives them in its present mode.
  std::vector<Sequence> run(std::vector<Sequence> x) {
    const auto& options = layer_.settings();
    for (std::int64_t k = 0; k < options.num_layers; ++k) {
      const std::string suffix = "_l" + std::to_string(k);
      std::vector<Sequence> y = run_direction(x, suffix);
      if (options.bidirectional) {
        const auto back = reversed(run_direction(reversed(x), suffix + "_reverse"));
        for (std::size_t n = 0; n < y.size(); ++n) {
          for (std::size_t t = 0; t < y[n].size(); ++t) {
            y[n][t].insert(y[n][t].end(), back[n][t].begin(), back[n][t].end());
          }
        }
      }
      x = std::move(y);
    }
    return x;
  }

  /// A running statistic after the runs so far.
  const Row& state(const std::string& name) const { return state_.at(name); }

 private:
  void read(nn::Module& layer) {
    for (const auto& [name, tensor] : layer.state_dict()) {
      const Tensor wide = tensor.to(DType::f64);
      const auto values = wide.span<double>();
      state_[name] = Row(values.begin(), values.end());
    }
  }

  static std::vector<Sequence> reversed(std::vector<Sequence> x) {
    for (Sequence& sequence : x) std::ranges::reverse(sequence);
    return x;
  }

  /// W·v, W of `rows` rows.
  Row times(const std::string& weight, const Row& v) const {
    const Row& w = state_.at(weight);
    const std::size_t rows = w.size() / v.size();
    Row result(rows, 0.0);
    for (std::size_t i = 0; i < rows; ++i) {
      for (std::size_t j = 0; j < v.size(); ++j) result[i] += w[i * v.size() + j] * v[j];
    }
    return result;
  }

  Row bias(const std::string& name, std::size_t size) const {
    const auto found = state_.find(name);
    return found == state_.end() ? Row(size, 0.0) : found->second;
  }

  static Row sum(Row a, const Row& b) {
    for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
    return a;
  }
  static double sigmoid(double v) { return 1 / (1 + std::exp(-v)); }

  /// The rows of one step, normalized in place. `name`: "ih_l0"; `beta`: the name of β.
  void normalize(std::vector<Row>& rows, const std::string& name, const std::string& beta,
                 std::size_t step) {
    using Kind = nn::RecurrentNormKind;
    if (rows.empty()) return;
    const std::size_t width = rows[0].size();
    const Row shift = bias(beta, width);
    if (norm_.kind == Kind::none) {
      for (Row& row : rows) row = sum(row, shift);
      return;
    }
    const Row& gamma = state_.at("gamma_" + name);
    if (norm_.kind == Kind::layer) {
      for (Row& row : rows) {
        double mean = 0, var = 0;
        for (const double v : row) mean += v / static_cast<double>(width);
        for (const double v : row) var += (v - mean) * (v - mean) / static_cast<double>(width);
        for (std::size_t c = 0; c < width; ++c) {
          row[c] = gamma[c] * (row[c] - mean) / std::sqrt(var + norm_.eps) + shift[c];
        }
      }
      return;
    }
    for (std::size_t c = 0; c < width; ++c) {
      const auto [mean, var] = batch_statistics(rows, name, step, c);
      for (Row& row : rows) {
        row[c] = gamma[c] * (row[c] - mean) / std::sqrt(var + norm_.eps) + shift[c];
      }
    }
    if (layer_.training() && rows.size() > 1) ++state_["num_batches_tracked_" + name][own(step)];
  }

  std::size_t own(std::size_t step) const {
    return std::min(step, static_cast<std::size_t>(norm_.max_steps - 1));
  }

  /// Of one channel; folds them into the running ones in training.
  std::pair<double, double> batch_statistics(const std::vector<Row>& rows, const std::string& name,
                                             std::size_t step, std::size_t channel) {
    const std::size_t width = rows[0].size();
    Row& running_mean = state_["running_mean_" + name];
    Row& running_var = state_["running_var_" + name];
    const Row& batches = state_["num_batches_tracked_" + name];
    std::size_t s = own(step);
    if (!layer_.training() || rows.size() < 2) {
      while (s > 0 && batches[s] == 0) --s;
      return {running_mean[s * width + channel], running_var[s * width + channel]};
    }
    const auto n = static_cast<double>(rows.size());
    double mean = 0, var = 0;
    for (const Row& row : rows) mean += row[channel] / n;
    for (const Row& row : rows) var += (row[channel] - mean) * (row[channel] - mean) / n;
    const double a = norm_.momentum ? *norm_.momentum : 1 / (batches[s] + 1);
    double& old_mean = running_mean[s * width + channel];
    double& old_var = running_var[s * width + channel];
    old_mean += a * (mean - old_mean);
    old_var += a * (var * n / (n - 1) - old_var);
    return {mean, var};
  }

  std::vector<Sequence> run_direction(const std::vector<Sequence>& x, const std::string& suffix) {
    const auto units = static_cast<std::size_t>(layer_.hidden_size());
    std::vector<Sequence> y(x.size());
    std::vector<Row> h(x.size(), Row(units, 0.0)), c = h;
    for (std::size_t t = 0;; ++t) {
      std::vector<std::size_t> running;
      for (std::size_t n = 0; n < x.size(); ++n) {
        if (t < x[n].size()) running.push_back(n);
      }
      if (running.empty()) return y;
      lstm_ ? lstm_step(x, running, suffix, t, h, c) : gru_step(x, running, suffix, t, h);
      for (const std::size_t n : running) y[n].push_back(h[n]);
    }
  }

  void lstm_step(const std::vector<Sequence>& x, const std::vector<std::size_t>& running,
                 const std::string& suffix, std::size_t t, std::vector<Row>& h,
                 std::vector<Row>& c) {
    const std::size_t units = h[0].size();
    std::vector<Row> input, hidden;
    for (const std::size_t n : running) {
      input.push_back(times("weight_ih" + suffix, x[n][t]));
      hidden.push_back(times("weight_hh" + suffix, h[n]));
    }
    normalize(input, "ih" + suffix, "bias_ih" + suffix, t);
    if (t > 0) {
      normalize(hidden, "hh" + suffix, "bias_hh" + suffix, t);
    } else {  // of the state zero: beta alone, and no statistics
      for (Row& row : hidden) row = bias("bias_hh" + suffix, 4 * units);
    }
    std::vector<Row> shown;
    for (std::size_t r = 0; r < running.size(); ++r) {
      const Row gates = input[r] = sum(input[r], hidden[r]);
      Row& cell = c[running[r]];
      for (std::size_t k = 0; k < units; ++k) {
        cell[k] = sigmoid(gates[units + k]) * cell[k] +
                  sigmoid(gates[k]) * std::tanh(gates[2 * units + k]);
      }
      shown.push_back(cell);
    }
    if (norm_.cell.value_or(false)) normalize(shown, "c" + suffix, "beta_c" + suffix, t);
    for (std::size_t r = 0; r < running.size(); ++r) {
      for (std::size_t k = 0; k < units; ++k) {
        h[running[r]][k] = sigmoid(input[r][3 * units + k]) * std::tanh(shown[r][k]);
      }
    }
  }

  void gru_step(const std::vector<Sequence>& x, const std::vector<std::size_t>& running,
                const std::string& suffix, std::size_t t, std::vector<Row>& h) {
    const std::size_t units = h[0].size();
    for (const std::size_t n : running) {
      const Row a = sum(times("weight_ih" + suffix, x[n][t]), bias("bias_ih" + suffix, 3 * units));
      const Row b = sum(times("weight_hh" + suffix, h[n]), bias("bias_hh" + suffix, 3 * units));
      for (std::size_t k = 0; k < units; ++k) {
        const double r = sigmoid(a[k] + b[k]);
        const double z = sigmoid(a[units + k] + b[units + k]);
        const double candidate = std::tanh(a[2 * units + k] + r * b[2 * units + k]);
        h[n][k] = (1 - z) * candidate + z * h[n][k];
      }
    }
  }

  nn::Recurrent& layer_;
  nn::RecurrentNorm norm_;
  bool lstm_ = false;
  std::map<std::string, Row> state_;
};

/// The largest difference between y [N, C, T] and the sequences, padding of y counted as far as it
/// is not zero.
inline double difference_to(const Tensor& y, const std::vector<Sequence>& wanted) {
  const Tensor wide = y.to(DType::f64).to(Layout::channels_first);
  double worst = 0;
  for (std::int64_t n = 0; n < y.dim(0); ++n) {
    const Sequence& sequence = wanted[static_cast<std::size_t>(n)];
    for (std::int64_t c = 0; c < y.dim(1); ++c) {
      for (std::int64_t t = 0; t < y.dim(2); ++t) {
        const double value = wide.data<double>()[(n * y.dim(1) + c) * y.dim(2) + t];
        const auto step = static_cast<std::size_t>(t);
        const double other =
            step < sequence.size() ? sequence[step][static_cast<std::size_t>(c)] : 0.0;
        if (!(std::abs(value - other) <= worst)) {
          worst =
              std::isnan(value) ? std::numeric_limits<double>::infinity() : std::abs(value - other);
        }
      }
    }
  }
  return worst;
}

}  // namespace evenkeel::testing
