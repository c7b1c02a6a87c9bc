//! The configuration of a root from its files, for a start, for a reload and for `--check-config`.

use std::io;
use std::path::{Path, PathBuf};

use storage::env::Fs;
use storage::env::fs::FileKind;

use crate::config::check::{self, Findings};
use crate::config::{Config, ConfigError};

/// Largest file of a secret.
const SECRET_BYTES: u64 = 64 << 10;

/// Returns the configuration of a root.
///
/// # Errors
/// A text for the operator.
pub fn load(root: &Path, fs: &dyn Fs) -> Result<Config, String> {
    let text = server_conf(root, fs)?;
    let secret = |path: &str| read_secret(root, path, fs);
    Config::load(root.to_owned(), &text, environment(), &secret).map_err(|ConfigError(why)| why)
}

/// Looks through the configuration of a root, as far as it can be read.
pub fn check(root: &Path, fs: &dyn Fs) -> Findings {
    let secret = |path: &str| read_secret(root, path, fs);
    match server_conf(root, fs) {
        Ok(text) => check::check(root.to_owned(), &text, environment(), &secret),
        Err(why) => Findings { refusals: vec![why], ..Findings::default() },
    }
}

fn server_conf(root: &Path, fs: &dyn Fs) -> Result<String, String> {
    let path = root.join("conf").join("server.conf");
    match fs.read(&path) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
}

/// Reads the file of a secret; a relative path begins at the root. Whoever may write server.conf must not be able to
/// read anything else through it.
fn read_secret(root: &Path, path: &str, fs: &dyn Fs) -> Result<String, String> {
    let path = root.join(PathBuf::from(path));
    let shown = path.display();
    if path.components().any(|part| part.as_os_str() == "..") {
        return Err(format!("{shown} must not contain .."));
    }
    if ["/dev", "/proc", "/sys"].iter().any(|folder| path.starts_with(folder)) {
        return Err(format!("{shown} is no file for a secret: choose one outside of /dev, /proc and /sys"));
    }
    let metadata = fs.metadata(&path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    if metadata.kind == FileKind::Dir {
        return Err(format!("{shown} is a directory"));
    }
    if metadata.len_bytes > SECRET_BYTES {
        return Err(format!("{shown} is longer than {SECRET_BYTES} bytes"));
    }
    let bytes = fs.read(&path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    if bytes.len() as u64 > SECRET_BYTES {
        return Err(format!("{shown} is longer than {SECRET_BYTES} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| format!("{shown} is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use storage::env::SimFs;
    use storage::env::fs::write_all_at;

    use super::*;

    #[test]
    fn secrets_are_read_from_plain_files_only() {
        let fs = SimFs::new(1);
        let root = Path::new("/root");
        for folder in ["/root", "/root/conf"] {
            fs.create_dir(Path::new(folder)).unwrap();
        }
        let write = |path: &str, bytes: &[u8]| {
            let file = fs.create_new(Path::new(path)).unwrap();
            write_all_at(file.as_ref(), 0, bytes).unwrap();
        };
        write("/root/conf/pw", b"secret\n");
        write("/root/conf/long", &[b'x'; 70_000]);
        write("/root/conf/raw", &[0xff]);
        assert_eq!(read_secret(root, "conf/pw", &fs).unwrap(), "secret\n");
        assert_eq!(read_secret(root, "/root/conf/pw", &fs).unwrap(), "secret\n");
        for (path, why) in [
            ("conf/../conf/pw", ".."),
            ("/proc/self/environ", "/proc"),
            ("conf", "directory"),
            ("conf/long", "65536"),
            ("conf/raw", "UTF-8"),
            ("conf/none", "cannot read"),
        ] {
            let error = read_secret(root, path, &fs).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
