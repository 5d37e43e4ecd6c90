# Run by every build: writes OUTPUT from TEMPLATE, and leaves it alone when nothing has changed.
# -D TEMPLATE OUTPUT SOURCE_DIR VERSION BUILD_TYPE COMPILER, and GIT_COMMIT for sources without git.
if(NOT GIT_COMMIT)
  execute_process(
    COMMAND git -C ${SOURCE_DIR} describe --always --dirty --abbrev=40 --exclude=*
    OUTPUT_VARIABLE GIT_COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(failed OR NOT GIT_COMMIT)
    set(GIT_COMMIT unknown)
  endif()
endif()
configure_file(${TEMPLATE} ${OUTPUT} @ONLY)
