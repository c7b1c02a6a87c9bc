//! Lines for the operator: `outln!`, `errln!` and `err!`, which go on where nobody reads any more.
//!
//! A full disk under a log, or a pipe whose reader has gone, must not end a server, nor hide how a command went: that is its exit
//! code.

/// As `println!`, without a panic where stdout cannot be written.
macro_rules! outln {
    ($($line:tt)*) => {{
        use ::std::io::Write as _;
        let _ = ::std::writeln!(::std::io::stdout().lock(), $($line)*);
    }};
}

/// As `eprint!`, without a panic where stderr cannot be written.
macro_rules! err {
    ($($text:tt)*) => {{
        use ::std::io::Write as _;
        let _ = ::std::write!(::std::io::stderr().lock(), $($text)*);
    }};
}

/// As `eprintln!`, without a panic where stderr cannot be written.
macro_rules! errln {
    ($($line:tt)*) => {{
        use ::std::io::Write as _;
        let _ = ::std::writeln!(::std::io::stderr().lock(), $($line)*);
    }};
}
