#!/usr/bin/env bash
# version:   cargo 1.95.0
# behaviour: Two checkouts of one workspace (as `git worktree` makes them) build into one CARGO_TARGET_DIR, which saves
#            building their dependencies twice. Cargo names a workspace member's artefacts by its place within the
#            workspace, not by where the checkout lies, and decides by time stamps: in the second checkout it finds the
#            first one's newer build fresh and runs that, without a word. One would expect its own code, or a rebuild.
# output:    checkout one says: one
#            checkout two says: one
#            after touching its sources, checkout two says: two
# Needs cargo only. Exits 1 when the second checkout runs its own code at once: then look at this finding again.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo --version

for checkout in one two; do
  mkdir -p "$work/$checkout"/{noun,verb}/src
  cd "$work/$checkout"
  printf '[workspace]\nresolver = "2"\nmembers = ["noun", "verb"]\n' > Cargo.toml
  printf '[package]\nname = "noun"\nversion = "0.1.0"\nedition = "2021"\n' > noun/Cargo.toml
  printf '[package]\nname = "verb"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\nnoun = { path = "../noun" }\n' > verb/Cargo.toml
  echo "pub fn name() -> &'static str { \"$checkout\" }" > noun/src/lib.rs
  echo 'fn main() { println!("{}", noun::name()) }' > verb/src/main.rs
done

export CARGO_TARGET_DIR="$work/target"
say() { (cd "$work/$1" && cargo run --quiet --offline --package verb); }
first=$(say one)
second=$(say two)
sleep 1
touch "$work"/two/{noun,verb}/src/*.rs
touched=$(say two)
echo "checkout one says: $first"
echo "checkout two says: $second"
echo "after touching its sources, checkout two says: $touched"
[ "$first" = one ] && [ "$second" = one ] && [ "$touched" = two ]
