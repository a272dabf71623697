// How threads wait for each other.
#pragma once

namespace evenkeel::app {

/// Makes threads that wait sleep instead of spin, unless the environment has chosen. On a machine that
/// also does something else, spinning threads keep the working ones from their processor: a training
/// step was measured to take twenty times longer. The OpenMP runtime reads its settings when it is
/// loaded, before main(), so the program starts itself again, once.
void sleep_while_waiting(char** argv);

}  // namespace evenkeel::app
