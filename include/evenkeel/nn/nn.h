// Everything of the room nn.
#pragma once

#include <evenkeel/nn/describe.h>
#include <evenkeel/nn/fusion.h>
#include <evenkeel/nn/init.h>
#include <evenkeel/nn/layer_table.h>
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/layers/concat.h>
#include <evenkeel/nn/layers/container.h>
#include <evenkeel/nn/layers/conv.h>
#include <evenkeel/nn/layers/dropout.h>
#include <evenkeel/nn/layers/flatten.h>
#include <evenkeel/nn/layers/graph.h>
#include <evenkeel/nn/layers/identity.h>
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/pair.h>
#include <evenkeel/nn/layers/pool.h>
#include <evenkeel/nn/layers/residual.h>
#include <evenkeel/nn/layers/sequential.h>
#include <evenkeel/nn/loss.h>
#include <evenkeel/nn/module.h>
