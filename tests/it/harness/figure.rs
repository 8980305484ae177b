//! How much a test does.

/// The full figure where `COUNTERSIGN_TEST_FULL` is set, else one that is done in seconds.
pub(crate) fn figure(full: usize, short: usize) -> usize {
    if std::env::var_os("COUNTERSIGN_TEST_FULL").is_some() { full } else { short }
}
