//! A picture of a case.

use std::io;
use std::path::Path;

use crate::report::CaseResults;

pub(crate) fn draw(_case: &CaseResults, _path: &Path) -> io::Result<()> {
    Ok(())
}
