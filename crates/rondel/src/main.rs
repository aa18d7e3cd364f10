//! Rondel: a layer-4 TCP load balancer.
fn main() {}
