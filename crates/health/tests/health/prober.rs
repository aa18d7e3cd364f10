//! All of it together: targets in their rhythm, verdicts, reports.
