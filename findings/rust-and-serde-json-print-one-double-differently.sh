#!/usr/bin/env bash
# version:   serde_json 1.0.154, ryu 1.0.23, the standard library of the Rust that is installed (met: 1.95.0)
# behaviour: The shortest text of a double that lies exactly halfway between two texts of that length: Rust's {} takes the
#            larger, serde_json and ryu take the even one. Both read back as the same double, but the texts differ: in a
#            server that writes some doubles by the one and some by the other, two answers of one value are not equal as
#            text, and recorded answers fail for every eighth double between 2^49 and 2^50. One would
#            expect the shortest text of a double to be one text.
# output:    1000000000000000.25: Rust 1000000000000000.3, serde_json 1000000000000000.2, ryu 1000000000000000.2
#            of 100000 doubles between 2^49 and 2^50, 12500 have two texts
# Needs cargo. Exits 1 when all three write the same text: then look at this finding again.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
cat > "$work/Cargo.toml" <<'TOML'
[package]
name = "texts"
version = "0.1.0"
edition = "2021"
[dependencies]
serde_json = "=1.0.154"
ryu = "=1.0.23"
TOML
cat > "$work/src/main.rs" <<'RUST'
fn main() {
    let json = |x: f64| serde_json::to_string(&x).unwrap();
    let x = 1_000_000_000_000_000.25_f64;
    let ryu = ryu::Buffer::new().format(x).to_owned();
    println!("{x:.2}: Rust {x}, serde_json {}, ryu {ryu}", json(x));
    assert!([x.to_string(), json(x), ryu].iter().all(|text| text.parse() == Ok(x)), "a text that is another double");
    let doubles = (0..100_000u64).map(|i| f64::from_bits(2f64.powi(49).to_bits() + i * 45_035_996_273));
    let apart = doubles.filter(|x| format!("{x:?}") != json(*x)).count();
    println!("of 100000 doubles between 2^49 and 2^50, {apart} have two texts");
    std::process::exit(i32::from(apart == 0));
}
RUST
rustc --version
cd "$work" && cargo run --quiet
