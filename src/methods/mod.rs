//! Method paths, the patterns that match them, and tables of both.

mod glob;
mod language;
mod method_table;
mod path;

pub use method_table::InvalidPattern;
pub(crate) use method_table::{MethodTable, check, covers, is_glob, is_of_service, matches, meets};
pub(crate) use path::{is_method, method_of};
