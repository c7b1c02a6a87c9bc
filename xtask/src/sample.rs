//! `cargo xtask sample DIR`: cuts the data of the demo out of the full nycflights13 files.
//!
//! All weather, one month of flights, all airports and airlines; the values stay as they are. The result lies in
//! `examples/nycflights13/` and is checked in, so the task runs only when the cut changes.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::{DeflateDecoder, GzDecoder};
use flate2::write::GzEncoder;

use crate::Result;
use crate::cargo::root;

/// February has the snow storm of the 8th, which the demo's questions find.
const MONTH: &str = "2013,2,";

/// Writes the sample from the files in the directory that the only argument names.
pub fn run(args: &[String]) -> Result<()> {
    let [source] = args else { return Err("usage: cargo xtask sample DIR".into()) };
    let source = Path::new(source);
    let target = root().join("examples/nycflights13");
    fs::create_dir_all(&target)?;

    let flights = first_of_zip(&fs::read(source.join("flights.csv.zip"))?)?;
    let (head, rows) = flights.split_once('\n').ok_or("flights.csv has no rows")?;
    let month: String = rows.split_inclusive('\n').filter(|row| row.starts_with(MONTH)).collect();
    write(&target.join("flights-2013-02.csv.gz"), &format!("{head}\n{month}"))?;

    let mut weather = String::new();
    GzDecoder::new(fs::File::open(source.join("weather.csv.gz"))?).read_to_string(&mut weather)?;
    write(&target.join("weather.csv.gz"), &weather)?;
    for name in ["airports.csv", "airlines.csv"] {
        write(&target.join(format!("{name}.gz")), &fs::read_to_string(source.join(name))?)?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(text.as_bytes())?;
    let packed = packed.finish()?;
    println!("{}: {} rows, {} bytes", path.display(), text.lines().count() - 1, packed.len());
    Ok(fs::write(path, packed)?)
}

/// Returns the text of the first member of a ZIP archive (deflated, as zip writes it).
fn first_of_zip(archive: &[u8]) -> Result<String> {
    let word = |at: usize| archive.get(at..at + 2).map(|b| usize::from(b[0]) | usize::from(b[1]) << 8);
    let (method, name, extra) = match (word(8), word(26), word(28)) {
        (Some(method), Some(name), Some(extra)) if archive.starts_with(b"PK\x03\x04") => (method, name, extra),
        _ => return Err("flights.csv.zip: no ZIP archive".into()),
    };
    if method != 8 {
        return Err(format!("flights.csv.zip: method {method}, only deflate is known here").into());
    }
    let body = archive.get(30 + name + extra..).ok_or("flights.csv.zip: cut short")?;
    let mut text = String::new();
    DeflateDecoder::new(body).read_to_string(&mut text)?;
    Ok(text)
}
