//! Who may write: a client proves that it has the private key of a public one that the operator listed ([`Keys`]).
//!
//! The client sends the name of its key, the server 512 random characters, the client its signature of them (ECDSA over
//! P-256 with SHA-256, in base64), each as a line.

use std::collections::HashMap;
use std::time::Duration;

use ring::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use storage::env::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wire::base64;

/// Time for the whole proof.
const PATIENCE: Duration = Duration::from_secs(15);
const CHALLENGE_CHARS: usize = 512;
/// Longest line of a client in here.
const MAX_LINE_BYTES: usize = 1024;
/// A signature of two numbers of 32 bytes; any other length is ASN.1.
const FIXED_BYTES: usize = 64;
const COORDINATE_BYTES: usize = 32;

/// Public keys by their names.
#[derive(Debug, Default)]
pub struct Keys(HashMap<String, Vec<u8>>);

impl Keys {
    /// Reads the peer's file: `name ec-p-256-sha256 X Y` a line, the coordinates in base64; `#` begins a comment.
    ///
    /// # Errors
    /// The number of the first line that is none of these, and why.
    pub fn read(text: &str) -> Result<Keys, String> {
        let mut keys = HashMap::new();
        for (i, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or("").trim();
            if line.is_empty() {
                continue;
            }
            let wrong = |why: &str| format!("line {}: {why}", i + 1);
            let parts: Vec<&str> = line.split_whitespace().collect();
            let &[name, kind, x, y] = parts.as_slice() else {
                return Err(wrong("expected: name ec-p-256-sha256 X Y"));
            };
            if kind != "ec-p-256-sha256" {
                return Err(wrong("the only kind of key is ec-p-256-sha256"));
            }
            let coordinate = |text: &str| {
                let bytes = base64::decode(text).ok_or_else(|| wrong("a coordinate is not base64"))?;
                let start = bytes.iter().position(|&b| b != 0).unwrap_or(bytes.len());
                match COORDINATE_BYTES.checked_sub(bytes.len() - start) {
                    Some(zeros) => Ok([vec![0; zeros], bytes[start..].to_vec()].concat()),
                    None => Err(wrong("a coordinate has more than 32 bytes")),
                }
            };
            // an uncompressed point
            let point = [vec![4], coordinate(x)?, coordinate(y)?].concat();
            if keys.insert(name.to_owned(), point).is_some() {
                return Err(wrong("a name stands twice"));
            }
        }
        Ok(Keys(keys))
    }

    /// Asks a client for its proof. Returns the bytes that came behind it, or why the client is not let in.
    pub async fn admit(&self, socket: &mut TcpStream, rng: &dyn Rng) -> Result<Vec<u8>, String> {
        match tokio::time::timeout(PATIENCE, self.ask(socket, rng)).await {
            Ok(answer) => answer,
            Err(_) => Err("no proof of a key came in time".to_owned()),
        }
    }

    async fn ask(&self, socket: &mut TcpStream, rng: &dyn Rng) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let name = read_line(socket, &mut bytes).await?;
        let challenge = challenge(rng);
        let sent = async {
            socket.write_all(&challenge).await?;
            socket.write_all(b"\n").await
        };
        sent.await.map_err(|e| e.to_string())?;
        let signature = read_line(socket, &mut bytes).await?;
        if self.verify(&name, &challenge, &signature) {
            Ok(bytes)
        } else {
            Err(format!("key {name:?} is unknown, or the signature is not its"))
        }
    }

    fn verify(&self, name: &str, challenge: &[u8], signature: &str) -> bool {
        let (Some(point), Some(signature)) = (self.0.get(name), base64::decode(signature)) else {
            return false;
        };
        let fixed = signature.len() == FIXED_BYTES;
        let verified = if fixed {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(challenge, &signature)
        } else {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(challenge, &signature)
        };
        verified.is_ok()
    }
}

fn challenge(rng: &dyn Rng) -> Vec<u8> {
    // ten digits of six bits fit into the bits of one number
    let numbers = std::iter::repeat_with(|| rng.next_u64());
    let digits = numbers.flat_map(|bits| (0..10).map(move |i| base64::DIGITS[(bits >> (6 * i)) as usize & 63]));
    digits.take(CHALLENGE_CHARS).collect()
}

/// Reads a line; what came behind it stays in `bytes`.
async fn read_line(socket: &mut TcpStream, bytes: &mut Vec<u8>) -> Result<String, String> {
    loop {
        if let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            let line = bytes.drain(..=end).collect::<Vec<u8>>();
            let text = String::from_utf8(line).map_err(|_| "the name or signature is no text".to_owned())?;
            return Ok(text.trim_end().to_owned());
        }
        if bytes.len() > MAX_LINE_BYTES {
            return Err(format!("a name or signature is longer than {MAX_LINE_BYTES} bytes"));
        }
        match socket.read_buf(bytes).await {
            Ok(0) => return Err("the client left before its proof".to_owned()),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
    use storage::env::rng::SeededRng;

    use super::*;

    #[test]
    fn only_the_owner_of_a_listed_key_is_let_in() {
        let random = SystemRandom::new();
        for algorithm in [&ECDSA_P256_SHA256_FIXED_SIGNING, &ECDSA_P256_SHA256_ASN1_SIGNING] {
            let pair = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
            let pair = EcdsaKeyPair::from_pkcs8(algorithm, pair.as_ref(), &random).unwrap();
            let point = pair.public_key().as_ref();
            let (x, y) = (base64::encode(&point[1..33]), base64::encode(&point[33..]));
            let text = format!("# keys\n\nme\tec-p-256-sha256 {x} {y} # mine\n");
            let keys = Keys::read(&text).unwrap();
            let challenge = challenge(&SeededRng::new(1));
            assert_eq!(challenge.len(), 512);
            let signature = base64::encode(pair.sign(&random, &challenge).unwrap().as_ref());
            assert!(keys.verify("me", &challenge, &signature));
            assert!(!keys.verify("you", &challenge, &signature));
            assert!(!keys.verify("me", &challenge[1..], &signature));
            assert!(!keys.verify("me", &challenge, "not base64!"));
            assert!(!keys.verify("me", &challenge, ""));
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_names_its_line() {
        for (text, why) in [
            ("\nme ec-p-256-sha256 AA", "line 2: expected"),
            ("me rsa AA AA", "line 1: the only kind"),
            ("me ec-p-256-sha256 ! AA", "line 1: a coordinate is not base64"),
            ("me ec-p-256-sha256 AA AA\nme ec-p-256-sha256 AA AA", "line 2: a name stands twice"),
        ] {
            assert!(Keys::read(text).unwrap_err().starts_with(why), "{text}");
        }
    }
}
