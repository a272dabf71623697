// What ThreadSanitizer is told in every program that is built with it (the preset tsan).
//
// oneDNN and the OpenMP runtime come from Debian and carry no instrumentation: what they write is not
// seen, how their threads wait for each other is not seen either, so that memory they hand from one
// thread to another would look like a race. Accesses inside such libraries are therefore left out;
// everything of evenkeel is instrumented. clang's OpenMP runtime serves oneDNN as well (it stands in for
// GCC's, whose name oneDNN asks for) and tells ThreadSanitizer, through its tool archer, where its
// regions begin and end.

extern "C" const char* __tsan_default_options() {  // NOLINT: the name is ThreadSanitizer's
  return "ignore_noninstrumented_modules=1:halt_on_error=0:exitcode=66:second_deadlock_stack=1";
}
