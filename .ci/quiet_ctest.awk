# Passes on what ctest says about failures. Each program's line of success is shown only with progress=1.
/^Internal ctest / || /^Test project / || /^ +Start +[0-9]+: / || /^[0-9]+% tests passed/ || /^Total Test time/ || /^$/ { next }
/^ *[0-9]+\/[0-9]+ Test +#[0-9]+: .* Passed +[0-9.]+ sec$/ { if (progress) { print; fflush() } next }
{ print; fflush() }
