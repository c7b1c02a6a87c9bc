//! Why something was refused, for people as a sentence and for scripts as JSON: [`Refusal`].
//!
//! A refusal is made as one sentence, what is wrong and then what to do, so that one text serves screen, log and tests; this
//! takes it apart again.

use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;
use storage::Error;

use super::{REFUSED, fail};

/// How what to do begins, where a sentence says it.
const REMEDIES: [&str; 29] = [
    "add", "ask", "begin", "choose", "complete", "copy", "empty", "free", "give", "install", "leave", "look", "make",
    "mount", "name", "put", "raise", "remove", "restore", "run", "set", "start", "stop", "take", "touch", "use",
    "wait", "write", "if",
];

/// What is wrong, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    sentence: String,
    file: Option<String>,
    fault: String,
    remedy: Option<String>,
}

impl Refusal {
    /// Takes a sentence apart. A path below `root` that it names may hold spaces, others may not.
    pub fn new(sentence: String, root: Option<&Path>) -> Refusal {
        let file = path_in(&sentence, root);
        let (fault, remedy) = split(&sentence);
        Refusal { file, fault: fault.to_owned(), remedy: remedy.map(str::to_owned), sentence }
    }

    /// Returns what storage refused.
    pub fn of_storage(error: &Error, root: Option<&Path>) -> Refusal {
        let (file, fault, remedy) = match error {
            Error::Corrupt { file, detail } => {
                let (fault, remedy) = split(detail);
                (file, fault.to_owned(), remedy.unwrap_or("use another copy, or restore a snapshot"))
            }
            Error::Io { path, source } => {
                let remedy = match source.kind() {
                    ErrorKind::NotFound => "copy it again or use another copy",
                    ErrorKind::PermissionDenied => "make it readable and writable for the user that runs this",
                    _ => "look whether its disk and its path are in order",
                };
                (path, source.to_string(), remedy)
            }
            _ => return Refusal::new(error.to_string(), root),
        };
        Refusal {
            file: Some(file.display().to_string()),
            fault,
            remedy: Some(remedy.to_owned()),
            sentence: error.to_string(),
        }
    }

    /// Returns the whole sentence.
    pub fn sentence(&self) -> &str {
        &self.sentence
    }

    fn json(&self, exit_code: u8) -> String {
        json!({
            "refused": exit_code == REFUSED,
            "exit_code": exit_code,
            "file": self.file,
            "fault": self.fault,
            "remedy": self.remedy,
            "message": self.sentence,
        })
        .to_string()
    }
}

/// Ends what was refused, or did not succeed: a sentence on stderr, or there one JSON object in one line.
pub fn refuse(refusal: &Refusal, code: u8, json: bool) -> ExitCode {
    if !json {
        return fail(code, refusal.sentence());
    }
    errln!("{}", refusal.json(code));
    ExitCode::from(code)
}

/// Splits a sentence where it begins to say what to do, outside of brackets.
fn split(sentence: &str) -> (&str, Option<&str>) {
    let mut depth = 0;
    for (at, c) in sentence.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ':' | ';' | '.' if depth <= 0 => {
                let rest = &sentence[at + 1..];
                let Some(rest) = rest.strip_prefix([' ', '\n']).map(str::trim_start) else { continue };
                let first = rest.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
                if REMEDIES.iter().any(|remedy| remedy.eq_ignore_ascii_case(first)) {
                    return (&sentence[..at], Some(rest));
                }
            }
            _ => {}
        }
    }
    (sentence, None)
}

/// Returns the first path below `root` in a sentence, else the first absolute one.
fn path_in(sentence: &str, root: Option<&Path>) -> Option<String> {
    let root = root.map(|root| root.display().to_string()).unwrap_or_default();
    let (at, known) = match sentence.find(&root) {
        Some(at) if !root.is_empty() => (at, root.len()),
        _ => (sentence.match_indices('/').map(|(at, _)| at).find(|at| begins_word(&sentence[..*at]))?, 0),
    };
    let rest = &sentence[at + known..];
    let end = rest.find([' ', ':', ',', ';', ')', '\n']).unwrap_or(rest.len());
    Some(sentence[at..at + known + end].to_owned())
}

fn begins_word(before: &str) -> bool {
    before.is_empty() || before.ends_with([' ', '(', '\n'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_taken_apart_where_it_says_what_to_do() {
        let root = Path::new("/my root");
        let of = |text: &str| Refusal::new(text.to_owned(), Some(root));
        let found = of(
            "/my root/_restore asks for it, but there is no snapshot/x in /my root: put a copy there, or remove _restore",
        );
        assert_eq!(found.file.as_deref(), Some("/my root/_restore"));
        assert!(found.fault.ends_with("no snapshot/x in /my root"), "{found:?}");
        assert_eq!(found.remedy.as_deref(), Some("put a copy there, or remove _restore"));
        let found = of("/my root cannot be used, it is read-only (/my root/db: use nothing): mount it for writing");
        assert_eq!((found.file.as_deref(), found.remedy.as_deref()), (Some("/my root"), Some("mount it for writing")));
        let found =
            of("cannot listen on 127.0.0.1:1 for HTTP: address in use; choose another address with http.net.bind.to");
        assert_eq!(found.fault, "cannot listen on 127.0.0.1:1 for HTTP: address in use");
        let found = of("/my root/x was written by QuestDB; nothing was touched. Start QuestDB on it");
        assert_eq!(found.remedy.as_deref(), Some("Start QuestDB on it"));
        let found = of("cannot read (/etc/other: os error 2)");
        assert_eq!((found.file.as_deref(), found.remedy), (Some("/etc/other"), None));
        let told = of("no \"root\"\nis there").json(REFUSED);
        let wanted = json!({"exit_code": 55, "fault": "no \"root\"\nis there", "file": null, "remedy": null,
            "message": "no \"root\"\nis there", "refused": true});
        assert!(!told.contains('\n'), "{told}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&told).unwrap(), wanted);
    }

    #[test]
    fn damage_names_its_file_and_always_a_remedy() {
        let of = |detail: &str| Refusal::of_storage(&Error::corrupt(Path::new("/r/db/x"), detail), None);
        let found = of("checksum differs; copy it again or use another copy");
        assert_eq!((found.file.as_deref(), &*found.fault), (Some("/r/db/x"), "checksum differs"));
        assert_eq!(found.remedy.as_deref(), Some("copy it again or use another copy"));
        assert_eq!(found.sentence(), "/r/db/x: checksum differs; copy it again or use another copy");
        assert!(of("checksum differs").remedy.is_some());
        let missing = Error::io(Path::new("/r/db/y"))(ErrorKind::NotFound.into());
        assert!(Refusal::of_storage(&missing, None).remedy.is_some());
    }
}
