//! QuestDB as it is published: one pinned jar from Maven Central, checked by its digest, run by whatever Java is there.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Launch, System};
use crate::Result;
use crate::cargo::{output, root};

/// The version that COMPAT.md speaks of.
pub const VERSION: &str = "9.3.4";
const SHA256: &str = "939bc53ab22f93dbaa6545143a6e7c536d4904c07b7f2d381e8eef10436be062";

/// Returns how it is started; an error is the reason why it cannot be had.
pub fn launch() -> Result<Launch> {
    let java = std::env::var_os("JAVA_HOME").map_or("java".into(), |home| PathBuf::from(home).join("bin/java"));
    let said = Command::new(&java).arg("-version").output().map_err(|error| format!("{}: {error}", java.display()))?;
    let version = String::from_utf8_lossy(&said.stderr).lines().next().unwrap_or_default().to_owned();
    if major(&version).is_none_or(|major| major < 17) {
        return Err(format!("QuestDB needs Java 17 or newer, here is {version:?}").into());
    }
    let jar = jar()?;
    let module = ["-Xmx3g", "-XX:+UseParallelGC", "--add-exports", "java.base/jdk.internal.math=io.questdb", "-p"];
    let mut arguments: Vec<String> = module.iter().map(|argument| argument.to_string()).collect();
    arguments.extend([jar.display().to_string(), "-m".to_owned(), "io.questdb/io.questdb.ServerMain".to_owned()]);
    Ok(Launch { system: System::QuestDb, program: java, arguments })
}

/// Returns the major version in the first line of `java -version`.
fn major(line: &str) -> Option<u32> {
    line.split('"').nth(1)?.split('.').next()?.parse().ok()
}

/// Returns the jar: from the local Maven repository, from an earlier download, or from Maven Central.
fn jar() -> Result<PathBuf> {
    let name = format!("questdb-{VERSION}.jar");
    let below = format!("org/questdb/questdb/{VERSION}/{name}");
    let folder = root().join("target/peers");
    let local = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".m2/repository").join(&below));
    for place in local.into_iter().chain([folder.join(&name)]) {
        if place.exists() && check(&place).is_ok() {
            return Ok(place);
        }
    }
    std::fs::create_dir_all(&folder)?;
    let (url, partial) = (format!("https://repo1.maven.org/maven2/{below}"), folder.join(format!("{name}.partial")));
    let curl = ["--fail", "--silent", "--show-error", "--location", "--retry", "2", "--output"];
    output(Command::new("curl").args(curl).arg(&partial).arg(&url))?;
    check(&partial)?;
    std::fs::rename(&partial, folder.join(&name))?;
    Ok(folder.join(&name))
}

fn check(jar: &Path) -> Result<()> {
    let sum = output(Command::new("sha256sum").arg(jar))?;
    if sum.starts_with(SHA256) { Ok(()) } else { Err(format!("{}: not the pinned jar: {sum}", jar.display()).into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_java_are_read() {
        assert_eq!(major("openjdk version \"17.0.15\" 2025-04-15"), Some(17));
        assert_eq!(major("java version \"1.8.0_202\""), Some(1));
        assert_eq!(major("openjdk version \"21\" 2023-09-19"), Some(21));
        assert_eq!(major("no java here"), None);
    }
}
