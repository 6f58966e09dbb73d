//! Programs that show the crate on real systems; see each folder.
