// Networks for the doctor: a healthy one, and ways to plant a fault in it.
#pragma once

#include <optional>
#include <string>

#include <evenkeel/data/glyphs.h>
#include <evenkeel/deploy/doctor.h>
#include <evenkeel/deploy/recalibrate.h>
#include <evenkeel/nn/nn.h>

namespace evenkeel::deploy {

/// 512 digits.
inline const data::Dataset& digits() {
  static const data::Dataset all = data::make_glyphs(512, 11);
  return all;
}

/// What the small network is made with.
struct Recipe {
  nn::BatchNormOptions norm = {};
  nn::Conv2dOptions conv = {.padding = 1, .bias = false};
  double dropout_before_conv = 0, dropout_before_norm = 0;  ///< of the second block
};

struct Patient {
  nn::Sequential net;
  DoctorOptions options;

  /// The tensor of that name, such as "7.running_var"; shares the network's memory.
  Tensor state(const std::string& name) {
    for (const auto& [key, tensor] : net.state_dict()) {
      if (key == name) return tensor;
    }
    fail<UsageError>("there is no {}", name);
  }
  /// Replaces element i of an f32 or f64 tensor.
  void set(const std::string& name, std::int64_t i, double value) {
    Tensor tensor = state(name);
    Tensor wide = tensor.to(DType::f64).clone();
    wide.data<double>()[i] = value;
    tensor.copy_from(wide);
  }
  void scale(const std::string& name, double factor, double offset = 0) {
    Tensor tensor = state(name);
    Tensor wide = tensor.to(DType::f64).clone();
    for (double& value : wide.span<double>()) value = factor * value + offset;
    tensor.copy_from(wide);
  }
};

inline std::unique_ptr<nn::Module> dropout_or_nothing(double p) {
  if (p > 0) return std::make_unique<nn::Dropout>(p);
  return std::make_unique<nn::Identity>();
}

/// Two blocks, with batch norms 1 (8 channels) and 7 (16 channels) behind convolutions 0 and 5,
/// whose running statistics are those of the digits, as if from 200 batches of 64.
inline Patient make_patient(const Recipe& recipe = {}) {
  Patient patient;
  nn::Sequential& net = patient.net;
  net.add(nn::Conv2d(1, 8, 3, recipe.conv)).add(nn::BatchNorm2d(8, recipe.norm)).add(nn::ReLU());
  net.add(nn::MaxPool2d(2)).add(dropout_or_nothing(recipe.dropout_before_conv));
  net.add(nn::Conv2d(8, 16, 3, recipe.conv)).add(dropout_or_nothing(recipe.dropout_before_norm));
  net.add(nn::BatchNorm2d(16, recipe.norm)).add(nn::ReLU());
  net.add(nn::GlobalAvgPool()).add(nn::Linear(16, 10));
  net.initialize(3);
  if (recipe.norm.track_running_stats) {
    RecalibrationOptions options;
    options.batch_size = 64;
    recalibrate(net, digits(), {}, options);
    for (const char* layer : {"1", "7"}) {
      *patient.state(std::string(layer) + ".num_batches_tracked").data<std::int64_t>() = 200;
    }
  }
  net.eval();
  patient.options.sample = Shape{1, 28, 28};
  patient.options.training_batch = 64;
  return patient;
}

inline const Finding* find(const Diagnosis& diagnosis, const std::string& name,
                           const std::string& layer) {
  for (const Finding& finding : diagnosis.findings) {
    if (finding.name == name && finding.layer == layer) return &finding;
  }
  return nullptr;
}

/// For messages of tests: one line each.
inline std::string listed(const Diagnosis& diagnosis) {
  std::string text = "\n";
  for (const Finding& one : diagnosis.findings) {
    text +=
        fmt::format("  {} {} {}: {}\n", name_of(one.severity), one.name, one.layer, one.evidence);
  }
  return text;
}

/// Nothing above info.
inline bool healthy(const Diagnosis& diagnosis) {
  return diagnosis.count(Severity::error) == 0 && diagnosis.count(Severity::warning) == 0;
}

}  // namespace evenkeel::deploy
