//! `stillpoint import http://old:9000`: the tables of a running QuestDB into a running Stillpoint, over both servers' HTTP.
//!
//! Each table is read in pages of time and stored page by page; a state file says what is done, so that a run that was cut
//! off goes on where it was. At the end counts and fingerprints of both sides are compared. Reading order: this file (one
//! table after the other), [`table`] (one table), [`http`] (requests), [`state`].

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use storage::env::{Env, Fs};

use crate::server::Server;
use crate::start::load_config;

pub(crate) mod http;
mod state;
mod table;

use http::Http;
use state::State;

/// What stands behind `stillpoint import`.
#[derive(Debug, Clone, clap::Args)]
pub struct ImportArguments {
    /// The old server: http://[user:password@]host:9000
    source: String,
    /// Only these tables, separated by commas
    #[arg(long, value_delimiter = ',')]
    tables: Vec<String>,
    /// A running Stillpoint: http://[user:password@]host:9000. Without it the server of the root (-d) is run for the import
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// Where is kept what is done
    #[arg(long, value_name = "FILE", default_value = "stillpoint-import.json")]
    state: PathBuf,
}

/// Runs the import; exit code 0 when every table has arrived whole.
pub fn run(arguments: &ImportArguments, root: PathBuf, env: &Env) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            errln!("cannot start threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(import(arguments, root, env));
    runtime.shutdown_background();
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            errln!("{why}");
            ExitCode::FAILURE
        }
    }
}

async fn import(arguments: &ImportArguments, root: PathBuf, env: &Env) -> Result<bool, String> {
    let source = Http::new(&arguments.source)?;
    match &arguments.to {
        Some(url) => all_tables(arguments, &source, &Http::new(url)?, env.fs.clone()).await,
        None => {
            let server = serve(root, env).await?;
            let address = server.http_address().ok_or("the root's server has no HTTP: http.enabled is false")?;
            let target = Http::new(&format!("http://{address}"))?;
            let done = all_tables(arguments, &source, &target, env.fs.clone()).await;
            server.stop().await.map_err(|e| format!("the stop was not clean: {e}"))?;
            done
        }
    }
}

/// Starts a server on the root that only this process uses.
async fn serve(root: PathBuf, env: &Env) -> Result<Server, String> {
    let mut config = load_config(&root, env.fs.as_ref())?;
    let http = config.http.as_mut().ok_or("the root's server has no HTTP: http.enabled is false")?;
    http.bind = ([127, 0, 0, 1], 0).into();
    http.credentials = None;
    (config.pg, config.health, config.ilp_tcp) = (None, None, None);
    let mut server =
        Server::start(config, env.clone(), Vec::new(), Box::new(|_| {})).await.map_err(|e| e.to_string())?;
    server.accept();
    Ok(server)
}

async fn all_tables(
    arguments: &ImportArguments,
    source: &Http,
    target: &Http,
    fs: Arc<dyn Fs>,
) -> Result<bool, String> {
    let found = table::list(source).await?;
    let wanted: Vec<_> = match arguments.tables.as_slice() {
        [] => found,
        names => {
            let missing = |name: &&String| !found.iter().any(|table| table.name.eq_ignore_ascii_case(name));
            if let Some(name) = names.iter().find(missing) {
                return Err(format!("table does not exist in the source [table={name}]"));
            }
            found.into_iter().filter(|table| names.iter().any(|n| n.eq_ignore_ascii_case(&table.name))).collect()
        }
    };
    let mut state = State::open(fs, &arguments.state, &arguments.source)?;
    let mut whole = true;
    for table in &wanted {
        match table::bring(table, source, target, &mut state).await {
            Ok(line) => errln!("{}: {line}", table.name),
            Err(why) => {
                whole = false;
                errln!("{}: FAILED: {why}", table.name);
            }
        }
    }
    errln!("{} of {} tables arrived whole", state.done(wanted.iter().map(|t| t.name.as_str())), wanted.len());
    Ok(whole)
}
