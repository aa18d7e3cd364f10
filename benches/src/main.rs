//! Measures rondel beside its peers. Nothing imports this.
fn main() {}
