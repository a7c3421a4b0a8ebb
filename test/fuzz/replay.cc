// Calls a fuzz target with each file named on the command line, without libFuzzer: built with whatever
// compiler and sanitizer there is.
#include "target.h"

int main(int argc, char** argv) {
  for (int i = 1; i < argc; i++) {
    std::FILE* file = std::fopen(argv[i], "rb");
    if (file == nullptr) {
      std::perror(argv[i]);
      return EXIT_FAILURE;
    }
    std::vector<uint8_t> bytes;
    uint8_t block[4096];
    for (size_t got; (got = std::fread(block, 1, sizeof block, file)) > 0;) {
      bytes.insert(bytes.end(), block, block + got);
    }
    std::fclose(file);
    // The name of the file that breaks the target, for the reader of the report.
    std::fprintf(stderr, "%s\n", argv[i]);
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::printf("%d replayed\n", argc - 1);
  return EXIT_SUCCESS;
}
