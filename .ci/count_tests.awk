# Reads ctest's LastTest.log and prints "N passed, N failed", counted in Catch2 test cases over all programs.
# A program that ends badly, or whose summary is missing or says that nothing ran, counts as at least one failure; so does
# what ctest itself could not run (ctest_failed=1).

function finish_program() {
  if (!running) return
  if ((!good || !summary || program_passed + program_failed == 0) && program_failed == 0) {
    program_failed = 1
    print "no good end: " name
  }
  passed += program_passed
  failed += program_failed
  programs++
  running = 0
}

/^[0-9]+\/[0-9]+ Testing: / {
  finish_program()
  name = $3
  running = 1
  good = summary = program_passed = program_failed = 0
}
/^All tests passed \([0-9]+ assertions? in [0-9]+ test cases?\)/ {
  summary = 1
  match($0, /in [0-9]+ test/)
  program_passed = substr($0, RSTART + 3, RLENGTH - 8) + 0
}
/^test cases: / {
  summary = 1
  n = split($0, part, "|")
  for (i = 2; i <= n; i++) {
    split(part[i], word, " ")
    if (word[2] == "passed") program_passed = word[1]
    else program_failed += word[1]
  }
}
/^Test Passed\.$/ { good = 1 }
END {
  finish_program()
  if (failed == 0 && (programs == 0 || ctest_failed)) failed = 1
  printf "%d passed, %d failed\n", passed, failed
  exit failed > 0
}
