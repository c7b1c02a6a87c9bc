//! A snapshot of a root that a server uses: taken, renewed and completed through its HTTP port ([`copy`]).

use std::time::Duration;

use storage::copy::Report;

use super::work::Work;
use super::{CopyArguments, Failure};
use crate::migrate::http::{Http, encode};
use crate::signals::Signals;
use crate::start::load_config;

/// How long a snapshot outlives its copier at most, and how often that is renewed.
const LEASE: &str = "15m";
const RENEWAL: Duration = Duration::from_secs(300);

/// Takes the snapshot through the server that uses the root.
pub async fn copy(arguments: &CopyArguments, work: &Work, signals: &mut Signals) -> Result<Report, Failure> {
    let url = match &arguments.server {
        Some(url) => url.clone(),
        None => configured_url(work)?,
    };
    let server = server_at(&url)?;
    let remedy = "name the root's server with --server http://[user:password@]host:port, or take a snapshot with SNAPSHOT PREPARE \
                  'name' and copy it with --snapshot name";
    let ask = async |sql: String| server.exec(&sql).await.map_err(|why| Failure::refused(format!("{why}; {remedy}")));
    let name = &work.name;
    // Nobody else copies there, so a snapshot of that name is of a copier that was killed.
    let _ = server.exec(&format!("SNAPSHOT COMPLETE '{name}'")).await;
    ask(format!("SNAPSHOT PREPARE '{name}' LEASE '{LEASE}'")).await?;
    let renew = async {
        loop {
            tokio::time::sleep(RENEWAL).await;
            // A server that stops now keeps the snapshot for a while; one that is gone, for the copy's lease.
            let _ = server.exec(&format!("SNAPSHOT RENEW '{name}' LEASE '{LEASE}'")).await;
        }
    };
    let copied = tokio::select! {
        copied = work.watched(name, signals) => copied,
        () = renew => unreachable!("the loop has no end"),
    };
    let completed = ask(format!("SNAPSHOT COMPLETE '{name}'")).await;
    match copied {
        Err(Failure { why, .. }) if why.sentence().starts_with("there is no snapshot/") => {
            Err(Failure::refused(format!(
                "the server at {} took the snapshot, but not in {}: it is another root's; {remedy}",
                without_login(&url),
                work.root.display()
            )))
        }
        Err(failure) => Err(failure),
        // The copy is whole; the lease ends soon.
        Ok(report) => {
            if let Err(Failure { why, .. }) = completed {
                errln!(
                    "warning: snapshot {name} could not be completed and ends by its lease in {LEASE}: {}",
                    why.sentence()
                );
            }
            Ok(report)
        }
    }
}

/// Returns a client of the server of that address.
pub fn server_at(url: &str) -> Result<Http, Failure> {
    Http::new(url).map_err(|why| {
        Failure::refused(format!("--server: {why}: name the root's server as http://[user:password@]host:port"))
    })
}

/// Returns an address as it may be told: what a copy says at night goes into mails and logs.
fn without_login(url: &str) -> &str {
    url.rsplit_once('@').map_or_else(|| url.trim_start_matches("http://"), |(_, address)| address)
}

/// Returns where the root's configuration, and this process's environment, say that its server listens.
fn configured_url(work: &Work) -> Result<String, Failure> {
    let config = load_config(&work.root, work.env.fs.as_ref()).map_err(Failure::refused)?;
    let http = config.http.ok_or_else(|| {
        Failure::refused(
            "the root's server has no HTTP port: take a snapshot with SNAPSHOT PREPARE 'name' and copy it with --snapshot name",
        )
    })?;
    let mut address = http.bind;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    let login = http.credentials.map(|c| format!("{}:{}@", encode(&c.user), encode(&c.password))).unwrap_or_default();
    Ok(format!("http://{login}{address}"))
}
